/*
 * Copyright (C) ngx_media contributors
 */

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* ImageMagick 6's headers have functions without a prototype */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wstrict-prototypes"
#if __has_include(<MagickWand/MagickWand.h>)
#include <MagickWand/MagickWand.h>
#else
#include <wand/MagickWand.h>
#endif
#pragma GCC diagnostic pop

#include "decoder.h"
#include "media_worker.h"


/*
 * The decoder process: reads one image, writes one thumbnail, answers, waits
 * for the next.  It has no environment, no descriptor but its socket, and
 * limits on memory, time and file size; it ends when the socket is closed.
 * The coder is named by the sniffed type, so that content never chooses one.
 */


#define DECODER_MEMORY     (1024UL * 1024 * 1024)   /* address space */
#define DECODER_PIXELS     (512UL * 1024 * 1024)    /* bytes of pixels */
#define DECODER_EDGE_MAX   16384
#define DECODER_FILE_MAX   (4UL * 1024 * 1024)      /* of the thumbnail */
#define DECODER_FILES_MAX  64

#if MagickLibVersion >= 0x700
#define DECODER_HEIC_NAMED true
#define decoder_resize(w, x, y)  MagickResizeImage(w, x, y, LanczosFilter)
#else
#define DECODER_HEIC_NAMED false
#define decoder_resize(w, x, y)  MagickResizeImage(w, x, y, LanczosFilter, 1.0)
#endif


typedef struct {
    const char  *mime;
    const char  *coder;
    bool         upright;           /* the coder applies the orientation */
    bool         named;             /* it reads nothing but a file by name */
} decoder_type_t;


static void decoder_limits(void);
static ssize_t decoder_receive(decoder_request_t *req, int *fds);
static void decoder_cpu_time(void);
static void decoder_image(const decoder_request_t *req, int in, int out,
    decoder_answer_t *ans);
static bool decoder_load(MagickWand *wand, const decoder_type_t *type,
    const decoder_request_t *req, int fd, decoder_answer_t *ans);
static bool decoder_read(MagickWand *wand, const decoder_type_t *type,
    int fd, bool ping);
static bool decoder_thumbnail(MagickWand *wand, const decoder_type_t *type,
    const decoder_request_t *req, decoder_answer_t *ans);
static bool decoder_write(MagickWand *wand, int fd, decoder_answer_t *ans);
static void decoder_fit(size_t width, size_t height, int max_edge,
    size_t *fit_width, size_t *fit_height);
static void decoder_error(MagickWand *wand, decoder_answer_t *ans);


static const decoder_type_t  decoder_types[] = {
    { "image/jpeg", "jpeg", false, false              },
    { "image/png",  "png",  false, false              },
    { "image/gif",  "gif",  false, false              },
    { "image/webp", "webp", false, false              },
    { "image/heic", "heic", true,  DECODER_HEIC_NAMED },
    { "image/heif", "heic", true,  DECODER_HEIC_NAMED },
    { NULL,         NULL,   false, false              }
};


int
decoder_main(void)
{
    int                fds[2];
    decoder_answer_t   ans;
    decoder_request_t  req;

    decoder_limits();
    MagickWandGenesis();

    MagickSetResourceLimit(MemoryResource, DECODER_PIXELS);
    MagickSetResourceLimit(MapResource, DECODER_PIXELS);
    MagickSetResourceLimit(DiskResource, 0);
    MagickSetResourceLimit(WidthResource, DECODER_EDGE_MAX);
    MagickSetResourceLimit(HeightResource, DECODER_EDGE_MAX);
    MagickSetResourceLimit(ThreadResource, 1);

    while (decoder_receive(&req, fds) == sizeof(decoder_request_t)) {
        decoder_cpu_time();
        memset(&ans, 0, sizeof(decoder_answer_t));
        req.mime[sizeof(req.mime) - 1] = '\0';

        decoder_image(&req, fds[0], fds[1], &ans);

        close(fds[0]);
        close(fds[1]);

        if (send(DECODER_FD, &ans, sizeof(decoder_answer_t), MSG_NOSIGNAL)
            != sizeof(decoder_answer_t))
        {
            break;
        }
    }

    MagickWandTerminus();
    return 0;
}


static void
decoder_limits(void)
{
    struct rlimit  limit;

    /* signals to the whole service are for the child, which lets its job
       end; the closed socket ends this process */
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGQUIT, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGUSR1, SIG_IGN);

    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    prctl(PR_SET_DUMPABLE, 0);

    limit.rlim_cur = limit.rlim_max = DECODER_FILE_MAX;
    setrlimit(RLIMIT_FSIZE, &limit);

    limit.rlim_cur = limit.rlim_max = DECODER_FILES_MAX;
    setrlimit(RLIMIT_NOFILE, &limit);

    limit.rlim_cur = limit.rlim_max = 0;
    setrlimit(RLIMIT_CORE, &limit);

    /* AddressSanitizer reserves terabytes of address space */
#ifndef __SANITIZE_ADDRESS__
    limit.rlim_cur = limit.rlim_max = DECODER_MEMORY;
    setrlimit(RLIMIT_AS, &limit);
#endif
}


static ssize_t
decoder_receive(decoder_request_t *req, int *fds)
{
    char             control[CMSG_SPACE(2 * sizeof(int))];
    ssize_t          n;
    struct iovec     iov;
    struct msghdr    msg;
    struct cmsghdr  *cmsg;

    iov.iov_base = req;
    iov.iov_len = sizeof(decoder_request_t);

    memset(&msg, 0, sizeof(struct msghdr));
    msg.msg_iov = &iov;
    msg.msg_iovlen = 1;
    msg.msg_control = control;
    msg.msg_controllen = sizeof(control);

    do {
        n = recvmsg(DECODER_FD, &msg, MSG_CMSG_CLOEXEC);
    } while (n == -1 && errno == EINTR);

    if (n <= 0) {
        return n;
    }

    cmsg = CMSG_FIRSTHDR(&msg);

    if (cmsg == NULL || cmsg->cmsg_type != SCM_RIGHTS
        || cmsg->cmsg_len != CMSG_LEN(2 * sizeof(int)))
    {
        return -1;
    }

    memcpy(fds, CMSG_DATA(cmsg), 2 * sizeof(int));
    return n;
}


/* the limit counts from the start of the process */
static void
decoder_cpu_time(void)
{
    struct rlimit  limit;
    struct rusage  usage;

    getrusage(RUSAGE_SELF, &usage);
    getrlimit(RLIMIT_CPU, &limit);

    limit.rlim_cur = usage.ru_utime.tv_sec + usage.ru_stime.tv_sec
                     + DECODER_CPU_TIME + 1;
    setrlimit(RLIMIT_CPU, &limit);
}


static void
decoder_image(const decoder_request_t *req, int in, int out,
    decoder_answer_t *ans)
{
    MagickWand            *wand;
    const decoder_type_t  *type;

    for (type = decoder_types; type->mime != NULL; type++) {
        if (strcasecmp(type->mime, req->mime) == 0) {
            break;
        }
    }

    if (type->mime == NULL) {
        snprintf(ans->error, sizeof(ans->error), "no decoder for this type");
        return;
    }

    wand = NewMagickWand();

    if (!decoder_load(wand, type, req, in, ans)
        || !decoder_thumbnail(wand, type, req, ans)
        || !decoder_write(wand, out, ans))
    {
        if (ans->error[0] == '\0') {
            decoder_error(wand, ans);
        }
    }

    DestroyMagickWand(wand);
}


/*
 * Reads the head for the dimensions, then the pixels; a JPEG is shrunk while
 * it is decoded, to no less than twice the thumbnail.
 */
static bool
decoder_load(MagickWand *wand, const decoder_type_t *type,
    const decoder_request_t *req, int fd, decoder_answer_t *ans)
{
    char    size[64];
    size_t  width, height;

    if (!decoder_read(wand, type, fd, true)) {
        return false;
    }

    MagickResetIterator(wand);

    if (!MagickNextImage(wand)) {
        return false;
    }

    ans->width = MagickGetImageWidth(wand);
    ans->height = MagickGetImageHeight(wand);

    if (ans->width == 0 || ans->height == 0) {
        snprintf(ans->error, sizeof(ans->error), "not a readable image");
        return false;
    }

    decoder_fit(ans->width, ans->height, req->max_edge, &width, &height);
    snprintf(size, sizeof(size), "%zux%zu", 2 * width, 2 * height);

    ClearMagickWand(wand);
    MagickSetOption(wand, "jpeg:size", size);

    return decoder_read(wand, type, fd, false);
}


/* the first frame, or with ping its head; an open file is preferred, as the
   security policies of some installations refuse names in /proc */
static bool
decoder_read(MagickWand *wand, const decoder_type_t *type, int fd, bool ping)
{
    int    copy;
    bool   ok;
    char   name[64];
    FILE  *file;

    if (type->named) {
        snprintf(name, sizeof(name), "%s:/proc/self/fd/%d[0]", type->coder,
                 fd);
        return ping ? MagickPingImage(wand, name)
                    : MagickReadImage(wand, name);
    }

    copy = dup(fd);
    file = copy == -1 ? NULL : fdopen(copy, "rb");

    if (file == NULL) {
        return false;
    }

    rewind(file);
    snprintf(name, sizeof(name), "%s:[0]", type->coder);
    MagickSetFilename(wand, name);
    ok = ping ? MagickPingImageFile(wand, file)
              : MagickReadImageFile(wand, file);
    fclose(file);

    return ok;
}


static bool
decoder_thumbnail(MagickWand *wand, const decoder_type_t *type,
    const decoder_request_t *req, decoder_answer_t *ans)
{
    int              width;
    bool             ok;
    size_t           fit_width, fit_height;
    PixelWand       *white;
    OrientationType  orientation;

    MagickResetIterator(wand);
    MagickNextImage(wand);

    decoder_fit(ans->width, ans->height, req->max_edge, &fit_width,
                &fit_height);

    orientation = MagickGetImageOrientation(wand);
    white = NewPixelWand();

    ok = PixelSetColor(white, "white")
         && MagickTransformImageColorspace(wand, sRGBColorspace)
         && ((MagickGetImageWidth(wand) == fit_width
              && MagickGetImageHeight(wand) == fit_height)
             || decoder_resize(wand, fit_width, fit_height))
         && MagickSetImageBackgroundColor(wand, white)
         && MagickSetImageAlphaChannel(wand, RemoveAlphaChannel)
         && (type->upright || MagickAutoOrientImage(wand))
         && MagickStripImage(wand)
         && MagickSetFilename(wand, "")
         && MagickSetImageFilename(wand, "")
         && MagickSetImageFormat(wand, "JPEG")
         && MagickSetImageCompression(wand, JPEGCompression)
         && MagickSetImageCompressionQuality(wand, req->quality);

    DestroyPixelWand(white);

    if (!type->upright && orientation >= LeftTopOrientation) {
        width = ans->width;
        ans->width = ans->height;
        ans->height = width;
    }

    return ok;
}


static bool
decoder_write(MagickWand *wand, int fd, decoder_answer_t *ans)
{
    size_t          size, done;
    ssize_t         n;
    unsigned char  *jpeg;

    jpeg = MagickGetImageBlob(wand, &size);

    if (jpeg == NULL) {
        return false;
    }

    for (done = 0; done < size; done += n) {
        n = pwrite(fd, jpeg + done, size - done, done);

        if (n <= 0) {
            break;
        }
    }

    MagickRelinquishMemory(jpeg);

    if (done != size) {
        snprintf(ans->error, sizeof(ans->error), "cannot write: %s",
                 strerror(errno));
        return false;
    }

    ans->size = size;
    return true;
}


/* the largest size within a square that keeps the proportions */
static void
decoder_fit(size_t width, size_t height, int max_edge, size_t *fit_width,
    size_t *fit_height)
{
    size_t  edge, longer;

    edge = max_edge;
    longer = width > height ? width : height;

    *fit_width = width;
    *fit_height = height;

    if (longer > edge) {
        *fit_width = (width * edge + longer / 2) / longer;
        *fit_height = (height * edge + longer / 2) / longer;
    }

    *fit_width = *fit_width == 0 ? 1 : *fit_width;
    *fit_height = *fit_height == 0 ? 1 : *fit_height;
}


static void
decoder_error(MagickWand *wand, decoder_answer_t *ans)
{
    char           *text;
    size_t          len;
    ExceptionType   severity;

    text = MagickGetException(wand, &severity);

    /* what follows "@" is a place in ImageMagick's source */
    len = strcspn(text, "@");

    while (len > 0 && text[len - 1] == ' ') {
        len--;
    }

    snprintf(ans->error, sizeof(ans->error), "%.*s",
             (int) (len < 120 ? len : 120), text);

    if (len == 0) {
        strcpy(ans->error, "the image cannot be read");
    }

    MagickRelinquishMemory(text);
}
