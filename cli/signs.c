/* Signs are lines, appended: "begun", then "ended CODE". */
#include "signs.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

const char *signs_path;
static bool begun;

static bool append(const char *text)
{
    int file = open(signs_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (file < 0) return false;
    bool all = write(file, text, strlen(text)) == (ssize_t)strlen(text);
    return (close(file) == 0) & all;
}

int signs_begin(cli *run)
{
    if (!signs_path || run->quiet) return -1;
    if (!append("begun\n"))
        return cli_fail(run, 2, "--signs", "%s: cannot write it: %s", signs_path, strerror(errno));
    begun = true;
    return -1;
}

void signs_end(int code)
{
    char text[40];
    snprintf(text, sizeof text, "ended %d\n", code);
    if (begun) append(text); /* where it cannot be written, the launcher's code has to do */
}

bool signs_clear(const char *path)
{
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    return file >= 0 && close(file) == 0;
}

signs signs_read(const char *path)
{
    signs s = {.code = 0};
    char line[64];
    FILE *file = fopen(path, "r"); /* anew each time: other machines' lines are seen at an open */
    while (file && fgets(line, sizeof line, file)) {
        s.begun = true;
        s.ended |= sscanf(line, "ended %d\n", &s.code) == 1;
    }
    if (file) fclose(file);
    return s;
}
