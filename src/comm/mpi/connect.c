/* How the lifeline's connections are made: process 0 listens on a port of the system's choice; where, and a
 * secret, is told over MPI. The others try its addresses, the machine's own first. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/fail.h"
#include "comm/mpi/lifeline.h"

enum { ADDRESSES = 16, CONNECT_MS = 3000, ALL_MS = 30000 };

typedef struct endpoint {
    unsigned char secret[YKI_SECRET_BYTES];
    uint16_t port; /* network order */
    int naddresses;
    struct in_addr addresses[ADDRESSES];
} endpoint;

static void list_addresses(endpoint *at)
{
    struct ifaddrs *all = NULL;
    at->addresses[at->naddresses++].s_addr = htonl(INADDR_LOOPBACK);
    if (getifaddrs(&all) != 0) return;
    for (struct ifaddrs *i = all; i && at->naddresses < ADDRESSES; i = i->ifa_next) {
        if (!i->ifa_addr || i->ifa_addr->sa_family != AF_INET || !(i->ifa_flags & IFF_UP)) continue;
        struct sockaddr_in in;
        memcpy(&in, i->ifa_addr, sizeof in);
        if (ntohl(in.sin_addr.s_addr) >> 24 != 127) at->addresses[at->naddresses++] = in.sin_addr;
    }
    freeifaddrs(all);
}

static int open_port(endpoint *at)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_ANY)};
    socklen_t length = sizeof any;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && bind(fd, (struct sockaddr *)&any, sizeof any) == 0 && listen(fd, 1024) == 0 &&
        getsockname(fd, (struct sockaddr *)&any, &length) == 0) {
        at->port = any.sin_port;
        list_addresses(at);
        return fd;
    }
    if (fd >= 0) close(fd);
    return -1;
}

/* All bytes one way before the deadline, on a socket that does not block. */
static bool transfer(int fd, void *data, size_t bytes, bool sends, int ms)
{
    char *at = data;
    while (bytes > 0) {
        struct pollfd ready = {.fd = fd, .events = sends ? POLLOUT : POLLIN};
        if (poll(&ready, 1, ms) <= 0) return false;
        ssize_t count = sends ? send(fd, at, bytes, MSG_NOSIGNAL) : recv(fd, at, bytes, 0);
        if (count < 0 && (errno == EAGAIN || errno == EINTR)) continue;
        if (count <= 0) return false;
        at += count;
        bytes -= (size_t)count;
    }
    return true;
}

static void settle(int fd)
{
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

/* Who knows the secret is answered; anybody else is hung up on. */
static int greet(int fd, const endpoint *at, int size)
{
    yki_frame frame;
    if (!transfer(fd, &frame, sizeof frame, false, CONNECT_MS)) return -1;
    bool known = frame.magic == YKI_FRAME_MAGIC && frame.kind == YKI_FRAME_HELLO && frame.rank > 0 &&
                 frame.rank < size && memcmp(frame.secret, at->secret, sizeof frame.secret) == 0;
    if (!known || !transfer(fd, &frame, sizeof frame, true, CONNECT_MS)) return -1;
    return frame.rank;
}

static yoke_status accept_all(yki_cluster *cluster, int port, const endpoint *at, yki_peer *peers)
{
    int missing = cluster->size - 1;
    for (int waited = 0; missing > 0 && waited < ALL_MS; waited += 100) {
        struct pollfd ready = {.fd = port, .events = POLLIN};
        if (poll(&ready, 1, 100) <= 0) continue;
        int fd = accept4(port, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        int from = fd >= 0 ? greet(fd, at, cluster->size) : -1;
        if (from < 0 || peers[from].fd >= 0) {
            if (fd >= 0) close(fd);
            continue;
        }
        settle(fd);
        peers[from].fd = fd;
        missing--;
    }
    for (int p = 1; p < cluster->size && missing > 0; p++)
        if (peers[p].fd < 0)
            return yki_fail(YOKE_SYSTEM,
                            "rank %d on %s found no way to rank 0 on %s in %d s; is TCP open between them?",
                            p, cluster->hosts[p], cluster->hosts[0], ALL_MS / 1000);
    return YOKE_OK;
}

static int try_address(struct in_addr address, const endpoint *at, int rank)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = at->port, .sin_addr = address};
    yki_frame frame = {.magic = YKI_FRAME_MAGIC, .kind = YKI_FRAME_HELLO, .rank = rank}, answer;
    memcpy(frame.secret, at->secret, sizeof frame.secret);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), error = 0;
    socklen_t length = sizeof error;
    if (fd < 0) return -1;
    bool there = connect(fd, (struct sockaddr *)&to, sizeof to) == 0;
    if (!there && errno == EINPROGRESS) {
        struct pollfd ready = {.fd = fd, .events = POLLOUT};
        there = poll(&ready, 1, CONNECT_MS) > 0 &&
                getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0 && error == 0;
    }
    if (there && transfer(fd, &frame, sizeof frame, true, CONNECT_MS) &&
        transfer(fd, &answer, sizeof answer, false, CONNECT_MS) &&
        memcmp(answer.secret, at->secret, sizeof answer.secret) == 0) {
        settle(fd);
        return fd;
    }
    close(fd);
    return -1;
}

yoke_status yki_lifeline_connect(yki_cluster *cluster, yki_peer *peers)
{
    endpoint mine = {.naddresses = 0}, *all = calloc((size_t)cluster->size, sizeof *all);
    int port = cluster->rank == 0 ? open_port(&mine) : -1;
    if (cluster->rank == 0 && getrandom(mine.secret, sizeof mine.secret, 0) != sizeof mine.secret)
        mine.port = 0;
    yoke_status status = all ? YOKE_OK : yki_fail_memory("the lifeline");
    if (all && cluster->mpi->all_gather(&mine, all, sizeof mine))
        status = yki_fail(YOKE_PEER_FAILED, "%s gave an error when processes met", cluster->mpi->name);
    if (status == YOKE_OK && all[0].port == 0)
        status = yki_fail(YOKE_SYSTEM, "rank 0 on %s gets no TCP port to watch the others from",
                          cluster->hosts[0]);
    if (status == YOKE_OK && cluster->rank == 0) status = accept_all(cluster, port, &all[0], peers);
    if (status == YOKE_OK && cluster->rank > 0) {
        for (int i = 0; i < all[0].naddresses && peers[0].fd < 0; i++)
            peers[0].fd = try_address(all[0].addresses[i], &all[0], cluster->rank);
        if (peers[0].fd < 0)
            status =
                yki_fail(YOKE_SYSTEM, "rank %d on %s finds no way to rank 0 on %s; is TCP open between them?",
                         cluster->rank, cluster->hosts[cluster->rank], cluster->hosts[0]);
    }
    if (port >= 0) close(port);
    free(all);
    return status;
}
