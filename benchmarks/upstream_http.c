/* A model server that is no bottleneck: the same two replies again and again, one thread, epoll.
 *
 * usage: upstream_http WHOLE STREAMED
 * Files with the bytes of a reply; a request whose body says "stream":true (a space after the colon
 * is allowed) gets the second. Prints the port, and ends when its standard input does.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ROOM = 1 << 16, MOST_SOCKETS = 4096 };

typedef struct {
    char *data;
    size_t size;
} Reply;

typedef struct {
    char buffer[ROOM];
    size_t filled;
    const Reply *reply; /* what is being sent */
    size_t sent;
} Peer;

static Reply whole, streamed;
static Peer *peers[MOST_SOCKETS];
static int poll_fd;

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static Reply load(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file) fail(path);
    fseek(file, 0, SEEK_END);
    Reply reply = {NULL, (size_t)ftell(file)};
    rewind(file);
    reply.data = malloc(reply.size);
    if (!reply.data || fread(reply.data, 1, reply.size, file) != reply.size) fail(path);
    fclose(file);
    return reply;
}

static void watch(int fd, uint32_t events, int operation) {
    struct epoll_event event = {.events = events, .data.fd = fd};
    if (epoll_ctl(poll_fd, operation, fd, &event) < 0) fail("epoll_ctl");
}

static void leave(int fd) {
    free(peers[fd]);
    peers[fd] = NULL;
    close(fd);
}

static void welcome(int listener) {
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    if (fd < 0) return;
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (fd >= MOST_SOCKETS || !(peers[fd] = calloc(1, sizeof(Peer)))) {
        close(fd);
        return;
    }
    watch(fd, EPOLLIN, EPOLL_CTL_ADD);
}

/* Send what is left of the reply; return whether the peer is still there. */
static int send_on(int fd, Peer *peer) {
    while (peer->sent < peer->reply->size) {
        ssize_t count = send(fd, peer->reply->data + peer->sent, peer->reply->size - peer->sent,
                             MSG_NOSIGNAL);
        if (count < 0 && errno == EAGAIN) {
            watch(fd, EPOLLOUT, EPOLL_CTL_MOD);
            return 1;
        }
        if (count < 0) return 0;
        peer->sent += (size_t)count;
    }
    peer->reply = NULL;
    return 1;
}

/* Return the length of the first whole request in the buffer, or 0. */
static size_t request_length(Peer *peer, size_t *head) {
    char *end = memmem(peer->buffer, peer->filled, "\r\n\r\n", 4);
    if (!end) return 0;
    *head = (size_t)(end - peer->buffer) + 4;
    size_t length = 0;
    for (char *line = peer->buffer; line && line < end; line = memchr(line, '\n', end - line)) {
        if (*line == '\n') line++;
        if (!strncasecmp(line, "content-length:", 15)) length = strtoul(line + 15, NULL, 10);
    }
    return peer->filled >= *head + length ? *head + length : 0;
}

static int answer(int fd, Peer *peer) {
    size_t head, length;
    while (!peer->reply && (length = request_length(peer, &head))) {
        char *body = peer->buffer + head;
        int wants_stream = memmem(body, length - head, "\"stream\":true", 13) ||
                           memmem(body, length - head, "\"stream\": true", 14);
        peer->reply = wants_stream ? &streamed : &whole;
        peer->sent = 0;
        memmove(peer->buffer, peer->buffer + length, peer->filled - length);
        peer->filled -= length;
        if (!send_on(fd, peer)) return 0;
    }
    return 1;
}

static int hear(int fd, Peer *peer) {
    ssize_t count = recv(fd, peer->buffer + peer->filled, ROOM - peer->filled, 0);
    if (count < 0) return errno == EAGAIN;
    if (count == 0) return 0;
    peer->filled += (size_t)count;
    return answer(fd, peer);
}

int main(int count, char **arguments) {
    if (count != 3) return 2;
    signal(SIGPIPE, SIG_IGN);
    whole = load(arguments[1]);
    streamed = load(arguments[2]);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    if (bind(listener, (struct sockaddr *)&address, size) < 0 || listen(listener, 1024) < 0)
        fail("listen");
    getsockname(listener, (struct sockaddr *)&address, &size);
    poll_fd = epoll_create1(0);
    watch(listener, EPOLLIN, EPOLL_CTL_ADD);
    watch(0, EPOLLIN, EPOLL_CTL_ADD);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    struct epoll_event events[256];
    for (;;) {
        int found = epoll_wait(poll_fd, events, 256, -1);
        for (int i = 0; i < found; i++) {
            int fd = events[i].data.fd;
            Peer *peer = fd < MOST_SOCKETS ? peers[fd] : NULL;
            if (fd == listener) {
                welcome(listener);
            } else if (fd == 0) {
                return 0;
            } else if (peer && (events[i].events & EPOLLOUT)) {
                int there = send_on(fd, peer);
                if (there && !peer->reply) {
                    watch(fd, EPOLLIN, EPOLL_CTL_MOD);
                    there = answer(fd, peer);
                }
                if (!there) leave(fd);
            } else if (peer && !hear(fd, peer)) {
                leave(fd);
            }
        }
    }
}
