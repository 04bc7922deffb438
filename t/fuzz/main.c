/*
 * Copyright (C) ngx_media contributors
 *
 * Runs a fuzz target over the files and directories given, without libFuzzer:
 * the stored corpora as ordinary tests.
 */

#include <dirent.h>
#include <sys/stat.h>

#include "fuzz.h"


static int run_path(const char *path);
static int run_directory(const char *path);
static int run_file(const char *path);


int
main(int argc, char **argv)
{
    int  i, n, total;

    total = 0;

    for (i = 1; i < argc; i++) {
        n = run_path(argv[i]);

        if (n < 0) {
            fprintf(stderr, "cannot read \"%s\"\n", argv[i]);
            return 2;
        }

        total += n;
    }

    printf("%d inputs\n", total);

    return total == 0;
}


/* the number of inputs, or -1 */
static int
run_path(const char *path)
{
    struct stat  st;

    if (stat(path, &st) != 0) {
        return -1;
    }

    return S_ISDIR(st.st_mode) ? run_directory(path) : run_file(path);
}


static int
run_directory(const char *path)
{
    int             n, total;
    DIR            *dir;
    char            name[4096];
    struct dirent  *entry;

    dir = opendir(path);
    if (dir == NULL) {
        return -1;
    }

    total = 0;

    while (total >= 0 && (entry = readdir(dir)) != NULL) {

        if (entry->d_name[0] == '.') {
            continue;
        }

        snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
        n = run_path(name);
        total = n < 0 ? -1 : total + n;
    }

    closedir(dir);

    return total;
}


static int
run_file(const char *path)
{
    long      n;
    FILE     *file;
    size_t    got;
    uint8_t  *data;

    file = fopen(path, "rb");
    if (file == NULL) {
        return -1;
    }

    if (fseek(file, 0, SEEK_END) != 0 || (n = ftell(file)) < 0
        || (data = malloc((size_t) n + 1)) == NULL)
    {
        fclose(file);
        return -1;
    }

    rewind(file);
    got = fread(data, 1, (size_t) n, file);
    fclose(file);

    /* which input it was, if it ends here */
    fprintf(stderr, "%s\n", path);

    (void) LLVMFuzzerTestOneInput(data, got);
    free(data);

    return got == (size_t) n ? 1 : -1;
}
