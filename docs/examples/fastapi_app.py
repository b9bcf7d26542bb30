"""A web page that shows an answer as it comes: FastAPI, one client for the whole program.

Start it with ``uvicorn --loop asyncio fastapi_app:app`` and open http://127.0.0.1:8000. The tier
sovereign refuses uvloop, which connects behind the guard's back.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.responses import HTMLResponse, StreamingResponse
from pydantic import BaseModel

import andon

MODEL = os.environ.get("MODEL", "llama-cpp:demo")


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with andon.AsyncClient(privacy="sovereign", daily_budget_usd=10) as client:
        app.state.andon = client
        yield


app = FastAPI(lifespan=lifespan)


class Question(BaseModel):
    text: str
    user: str = "somebody"


@app.post("/answer")
async def answer(question: Question) -> StreamingResponse:
    # Closed by the server when the browser leaves, and with it the backend's work.
    stream = app.state.andon.stream(MODEL, question.text, labels={"user": question.user})

    async def events() -> AsyncIterator[str]:
        try:
            async with stream:
                async for delta in stream:
                    yield json.dumps({"text": delta.text}) + "\n"
                yield json.dumps({"cost_usd": str(stream.response.cost_usd)}) + "\n"
        except andon.AndonError as error:
            yield json.dumps({"error": str(error)}) + "\n"

    return StreamingResponse(events(), media_type="application/x-ndjson")


@app.get("/")
async def page() -> HTMLResponse:
    return HTMLResponse(PAGE)


PAGE = """<!doctype html>
<meta charset="utf-8">
<title>andon</title>
<style>
  body { font: 1.1rem/1.5 system-ui, sans-serif; max-width: 40rem; margin: 3rem auto; padding: 0 1rem }
  input { font: inherit; width: 100%; padding: .5rem; box-sizing: border-box }
  #answer { white-space: pre-wrap; min-height: 3rem }
  small { color: #666 }
</style>
<h1>Ask</h1>
<form><input name="text" value="What is the capital of France?" autofocus></form>
<p id="answer"></p>
<small id="cost"></small>
<script>
  const form = document.querySelector("form"), shown = document.querySelector("#answer");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    shown.textContent = "";
    const reply = await fetch("/answer", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ text: new FormData(form).get("text") }),
    });
    const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      const lines = (rest + value).split("\\n");
      rest = lines.pop();
      for (const line of lines) {
        const said = JSON.parse(line);
        shown.textContent += said.text || said.error || "";
        if (said.cost_usd) document.querySelector("#cost").textContent = `${said.cost_usd} US dollars`;
      }
    }
  });
</script>
"""
