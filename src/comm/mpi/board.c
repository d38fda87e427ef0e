/* Boards: memory that one process of a machine writes and the others of the machine read. What is small goes
 * over them and not through MPI: everybody posts its part, with a stamp, and takes all others'.
 *
 * A group has two places on each board, which its operations use in turns. Who posts in a place again has
 * taken what all others posted after it had been used last, so they have all read it. A stamp has the group's
 * generation, since its number, and so its places, may have been another group's before. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/fail.h"
#include "comm/mpi/mpi.h"

int yki_mpi_board_bytes = 65536;

enum { LINE = 64, HEAD = 4096 };

static const char name[] = "yoke-board";

typedef struct place {
    _Alignas(LINE) _Atomic uint64_t stamp;
    uint64_t sequence, signature;
    _Alignas(LINE) char data[];
} place;

/* How the others find a board: by the process's table of files, since a file without a name needs nobody to
 * remove it. */
typedef struct address {
    int32_t process, file; /* file < 0: there is none */
    uint64_t secret;       /* the board's first bytes */
} address;

static size_t place_bytes(void)
{
    return sizeof(place) + ((size_t)yki_mpi_board_bytes + LINE - 1) / LINE * LINE;
}

static size_t board_bytes(void)
{
    return HEAD + (size_t)2 * YKI_MPI_GROUPS * place_bytes();
}

/* --- open and close --- */

static char *create(address *at)
{
    struct rlimit limit;
    *at = (address){.process = getpid(), .file = -1};
    /* more than it may write would end the process */
    if (yki_mpi_board_bytes <= 0 || getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur < board_bytes() ||
        getrandom(&at->secret, sizeof at->secret, 0) != sizeof at->secret)
        return NULL;
    int file = memfd_create(name, MFD_CLOEXEC);
    if (file < 0) return NULL;
    void *board = ftruncate(file, (off_t)board_bytes()) != 0
                      ? MAP_FAILED
                      : mmap(NULL, board_bytes(), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (board == MAP_FAILED) {
        close(file);
        return NULL;
    }
    memcpy(board, &at->secret, sizeof at->secret);
    at->file = file;
    return board;
}

/* NULL: not to be had; the process is in a container of its own, say, where others have its number. */
static char *open_board(const address *at)
{
    char path[64], target[64];
    snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)at->process, (int)at->file);
    ssize_t length = at->file < 0 ? -1 : readlink(path, target, sizeof target - 1);
    if (length < 0) return NULL;
    target[length] = '\0';
    int file = strstr(target, name) ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) return NULL;
    void *board = lseek(file, 0, SEEK_END) == (off_t)board_bytes()
                      ? mmap(NULL, board_bytes(), PROT_READ, MAP_SHARED, file, 0)
                      : MAP_FAILED;
    close(file);
    if (board == MAP_FAILED) return NULL;
    if (memcmp(board, &at->secret, sizeof at->secret) == 0) return board;
    munmap(board, board_bytes());
    return NULL;
}

/* Boards of this machine, by process; whether all are there. */
static bool open_all(yki_mpi_world *world, const address *all)
{
    const yki_cluster *cluster = world->cluster;
    bool there = world->boards[cluster->rank] != NULL;
    for (int p = 0; p < cluster->size && there; p++) {
        if (p == cluster->rank || cluster->machine_of[p] != cluster->machine_of[cluster->rank]) continue;
        world->boards[p] = open_board(&all[p]);
        there = world->boards[p] != NULL;
    }
    return there;
}

yoke_status yki_mpi_boards_open(yki_mpi_world *world)
{
    const yki_cluster *cluster = world->cluster;
    size_t n = (size_t)cluster->size;
    address mine, *all = calloc(n, sizeof *all);
    int *theirs = calloc(n, sizeof *theirs), there;
    world->boards = calloc(n, sizeof *world->boards);
    yoke_status status = all && theirs && world->boards ? YOKE_OK : yki_fail_memory("a world of ranks");
    if (status == YOKE_OK) {
        world->boards[cluster->rank] = create(&mine);
        bool failed = cluster->mpi->all_gather(&mine, all, sizeof mine) != 0;
        there = !failed && open_all(world, all);
        failed = failed || cluster->mpi->all_gather(&there, theirs, sizeof there) != 0;
        if (mine.file >= 0) close(mine.file);
        for (int p = 0; p < cluster->size && there; p++)
            there = theirs[p] || cluster->machine_of[p] != cluster->machine_of[cluster->rank];
        if (!there) yki_mpi_boards_close(world); /* all of the machine find the same */
        if (failed)
            status = yki_fail(YOKE_PEER_FAILED, "%s gave an error when a world of ranks was made",
                              cluster->mpi->name);
    }
    free(all);
    free(theirs);
    return status;
}

void yki_mpi_boards_close(yki_mpi_world *world)
{
    for (int p = 0; world->boards && p < world->cluster->size; p++)
        if (world->boards[p]) munmap(world->boards[p], board_bytes());
    free(world->boards);
    world->boards = NULL;
}

/* --- posting and taking --- */

bool yki_mpi_board_fits(const yki_mpi_group *g, int64_t bytes)
{
    return g->world->boards && g->nmachines == 1 && bytes <= yki_mpi_board_bytes;
}

static place *place_of(const yki_mpi_group *g, int process)
{
    size_t number = 2 * (size_t)g->id + g->posted % 2;
    return (place *)(void *)(g->world->boards[g->processes[process]] + HEAD + number * place_bytes());
}

static uint64_t stamp_of(const yki_mpi_group *g)
{
    return (uint64_t)g->generation << 32 | (uint32_t)(g->posted + 1);
}

void yki_mpi_board_post(const yki_mpi_group *g, const yki_mpi_op *op, const void *data, size_t bytes)
{
    place *mine = place_of(g, g->me);
    if (bytes > 0) memcpy(mine->data, data, bytes);
    mine->sequence = atomic_load_explicit(&g->completed, memory_order_relaxed);
    mine->signature = op->signatures[0];
    atomic_store_explicit(&mine->stamp, stamp_of(g), memory_order_release);
}

yki_mpi_posted yki_mpi_board_look(const yki_mpi_group *g, const yki_mpi_op *op, int process)
{
    const place *theirs = place_of(g, process);
    if (atomic_load_explicit(&theirs->stamp, memory_order_acquire) != stamp_of(g)) return YKI_MPI_NOTHING;
    bool now = theirs->sequence == atomic_load_explicit(&g->completed, memory_order_relaxed);
    if (!op->on_board) return now ? YKI_MPI_ANOTHER : YKI_MPI_NOTHING; /* else it is a later one's */
    return now && theirs->signature == op->signatures[0] ? YKI_MPI_THIS : YKI_MPI_ANOTHER;
}

const void *yki_mpi_board_read(const yki_mpi_group *g, int process)
{
    return place_of(g, process)->data;
}
