/*
 * Copyright (C) ngx_media contributors
 */

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <poppler.h>

#include "decoder_magick.h"


/*
 * PDF documents in the decoder process: pages, title, and the first page as
 * a picture.  Scripts, links and embedded files are left alone.
 */


#define PDF_TIME   1            /* seconds of CPU, or one more */
#define PDF_BEGUN  100000       /* microseconds */


typedef struct {
    const decoder_request_t  *req;
    decoder_answer_t         *ans;
    const char               *data;
    size_t                    size;
    PopplerDocument          *document;
} pdf_t;


static void pdf_limit(decoder_answer_t *ans);
static void pdf_stop(int signo);
static void pdf_read(pdf_t *pdf, int out);
static bool pdf_open(pdf_t *pdf);
static void pdf_title(pdf_t *pdf);
static void pdf_preview(pdf_t *pdf, int out);
static cairo_surface_t *pdf_draw(pdf_t *pdf, PopplerPage *page);
static void pdf_write(pdf_t *pdf, cairo_surface_t *surface, int out);


/* what is answered if it takes too long */
static decoder_answer_t  pdf_late;


void
decoder_pdf(const decoder_request_t *req, int in, int out,
    decoder_answer_t *ans)
{
    char    magick[32];
    void   *data;
    pdf_t   pdf;

    memset(&pdf, 0, sizeof(pdf_t));
    pdf.req = req;
    pdf.ans = ans;
    pdf.size = lseek(in, 0, SEEK_END);

    if (sscanf(MagickGetVersion(NULL), "%*s %31s", magick) != 1) {
        strcpy(magick, "0");
    }

    snprintf(ans->made_by, sizeof(ans->made_by),
             "poppler/%s cairo/%s libMagickWand/%s", poppler_get_version(),
             cairo_version_string(), magick);

    data = mmap(NULL, pdf.size, PROT_READ, MAP_PRIVATE, in, 0);

    if (data == MAP_FAILED) {
        decoder_fail(ans, DECODER_REFUSED, "it is too large to be read");
        return;
    }

    pdf.data = data;
    pdf_limit(ans);
    pdf_read(&pdf, out);
    signal(SIGXCPU, SIG_DFL);
    signal(SIGABRT, SIG_DFL);
    munmap(data, pdf.size);
}


/*
 * Poppler cannot be told to stop, and aborts when there is no memory: then
 * the process answers what was known before, and ends.
 */
static void
pdf_limit(decoder_answer_t *ans)
{
    struct rlimit  limit;
    struct rusage  usage;

    pdf_late = *ans;
    decoder_fail(&pdf_late, DECODER_REFUSED,
                 "it takes too much time or memory to be drawn");

    /* of whole seconds: a process that has just begun gets no more */
    getrusage(RUSAGE_SELF, &usage);
    getrlimit(RLIMIT_CPU, &limit);
    limit.rlim_cur = usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + PDF_TIME
                     + (usage.ru_utime.tv_usec > PDF_BEGUN
                        || usage.ru_stime.tv_usec > PDF_BEGUN);
    setrlimit(RLIMIT_CPU, &limit);

    signal(SIGXCPU, pdf_stop);
    signal(SIGABRT, pdf_stop);
}


static void
pdf_stop(int signo)
{
    (void) signo;

    send(DECODER_FD, &pdf_late, sizeof(decoder_answer_t), MSG_NOSIGNAL);
    close(DECODER_FD);
    _exit(1);
}


static void
pdf_read(pdf_t *pdf, int out)
{
    if (!decoder_pdf_check(pdf->data, pdf->size, pdf->req->limits.expansion,
                           pdf->ans)
        || !pdf_open(pdf))
    {
        return;
    }

    pdf->ans->pages = poppler_document_get_n_pages(pdf->document);

    if (pdf->ans->pages <= 0) {
        pdf->ans->pages = 0;
        decoder_fail(pdf->ans, DECODER_CORRUPT, "it has no pages");

    } else {
        pdf_title(pdf);
        memcpy(pdf_late.title, pdf->ans->title, sizeof(pdf_late.title));
        pdf_late.pages = pdf->ans->pages;

        if (pdf->ans->pages > pdf->req->limits.pages) {
            decoder_fail(pdf->ans, DECODER_REFUSED,
                         "it has %d pages, more than %d", pdf->ans->pages,
                         pdf->req->limits.pages);
        } else {
            pdf_preview(pdf, out);
        }
    }

    g_object_unref(pdf->document);
}


static bool
pdf_open(pdf_t *pdf)
{
    GBytes  *bytes;
    GError  *error;

    error = NULL;
    bytes = g_bytes_new_static(pdf->data, pdf->size);
    pdf->document = poppler_document_new_from_bytes(bytes, NULL, &error);
    g_bytes_unref(bytes);

    if (pdf->document != NULL) {
        return true;
    }

    if (g_error_matches(error, POPPLER_ERROR, POPPLER_ERROR_ENCRYPTED)) {
        decoder_fail(pdf->ans, DECODER_ENCRYPTED, "it needs a password");

    } else {
        decoder_fail(pdf->ans, DECODER_CORRUPT, "the document is damaged");
    }

    g_clear_error(&error);
    return false;
}


static void
pdf_title(pdf_t *pdf)
{
    char  *title;

    title = poppler_document_get_title(pdf->document);

    if (title != NULL) {
        decoder_title(pdf->ans, title);
        g_free(title);
    }
}


static void
pdf_preview(pdf_t *pdf, int out)
{
    PopplerPage      *page;
    cairo_surface_t  *surface;

    page = poppler_document_get_page(pdf->document, 0);

    if (page == NULL) {
        decoder_fail(pdf->ans, DECODER_CORRUPT, "it has no first page");
        return;
    }

    surface = pdf_draw(pdf, page);

    if (surface != NULL) {
        pdf_write(pdf, surface, out);
        cairo_surface_destroy(surface);
    }

    g_object_unref(page);
}


/* on white; what is smaller than the preview stays so */
static cairo_surface_t *
pdf_draw(pdf_t *pdf, PopplerPage *page)
{
    int               fit_width, fit_height;
    double            width, height, scale;
    cairo_t          *cr;
    cairo_status_t    status;
    cairo_surface_t  *surface;

    poppler_page_get_size(page, &width, &height);

    if (!(width > 0 && width < 1e9 && height > 0 && height < 1e9)) {
        decoder_fail(pdf->ans, DECODER_CORRUPT, "its page has no size");
        return NULL;
    }

    scale = pdf->req->max_edge / (width > height ? width : height);
    scale = scale > 1 ? 1 : scale;
    fit_width = width * scale + 0.5;
    fit_height = height * scale + 0.5;

    surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24,
                                         fit_width > 1 ? fit_width : 1,
                                         fit_height > 1 ? fit_height : 1);
    cr = cairo_create(surface);
    cairo_set_source_rgb(cr, 1, 1, 1);
    cairo_paint(cr);
    cairo_scale(cr, scale, scale);
    poppler_page_render(page, cr);

    status = cairo_status(cr);
    cairo_destroy(cr);
    cairo_surface_flush(surface);

    if (status != CAIRO_STATUS_SUCCESS) {
        decoder_fail(pdf->ans, DECODER_CORRUPT, "its page: %s",
                     cairo_status_to_string(status));
        cairo_surface_destroy(surface);
        return NULL;
    }

    return surface;
}


static void
pdf_write(pdf_t *pdf, cairo_surface_t *surface, int out)
{
    bool            ok;
    size_t          size;
    MagickWand     *wand;
    unsigned char  *bytes;

    wand = NewMagickWand();

    /* four bytes a pixel leave no gap between the rows */
    ok = MagickConstituteImage(wand, cairo_image_surface_get_width(surface),
                               cairo_image_surface_get_height(surface),
                               G_BYTE_ORDER == G_LITTLE_ENDIAN ? "BGRP"
                                                               : "PRGB",
                               CharPixel,
                               cairo_image_surface_get_data(surface))
         && decoder_pixels(wand, pdf->ans);

    bytes = ok ? decoder_encode(wand, "JPEG", pdf->req->quality, &size) : NULL;

    if (!decoder_result(wand, out, pdf->ans, bytes, size, "image/jpeg")) {
        decoder_fail(pdf->ans, DECODER_REFUSED, "no preview was written");
    }

    DestroyMagickWand(wand);
}
