/*
 * Copyright (C) ngx_media contributors
 */

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <libavcodec/avcodec.h>

#include "decoder_io.h"


/*
 * Videos in the decoder process: only looked at, by what the head of an MP4
 * or 3GPP file says of its tracks.  Nothing is decoded or converted.
 */


static void decoder_video_track(const AVStream *stream, int *n,
    decoder_answer_t *ans);
static void decoder_video_codec(enum AVCodecID id, decoder_answer_t *ans);
static void decoder_video_error(decoder_answer_t *ans, const char *error);


/* Meta, "Supported media types": H.264 with AAC, "a single audio stream or
   no audio stream" */
void
decoder_video(int in, decoder_answer_t *ans)
{
    int               n[AVMEDIA_TYPE_NB];
    unsigned          i;
    decoder_io_t      io;
    AVFormatContext  *s;

    av_log_set_level(AV_LOG_QUIET);

    memset(n, 0, sizeof(n));
    memset(&io, 0, sizeof(decoder_io_t));
    io.fd = in;
    io.size = lseek(in, 0, SEEK_END);
    s = decoder_io_demux(&io, "mov", "none");

    if (s == NULL) {
        decoder_video_error(ans, "this one cannot be read");
        return;
    }

    for (i = 0; i < s->nb_streams; i++) {
        if (!(s->streams[i]->disposition & AV_DISPOSITION_ATTACHED_PIC)) {
            decoder_video_track(s->streams[i], n, ans);
        }
    }

    if (n[AVMEDIA_TYPE_VIDEO] == 0) {
        decoder_video_error(ans, "this one has no video");
    }

    if (n[AVMEDIA_TYPE_AUDIO] > 1) {
        decoder_video_error(ans, "this one has several audio tracks");
    }

    ans->as_is = 1;
    decoder_io_end(&s);
}


static void
decoder_video_track(const AVStream *stream, int *n, decoder_answer_t *ans)
{
    const AVCodecParameters  *par;

    par = stream->codecpar;

    if (par->codec_type == AVMEDIA_TYPE_VIDEO) {
        n[AVMEDIA_TYPE_VIDEO]++;
        ans->width = par->width > 0 ? par->width : 0;
        ans->height = par->height > 0 ? par->height : 0;

        if (par->codec_id != AV_CODEC_ID_H264) {
            decoder_video_codec(par->codec_id, ans);
        }

    } else if (par->codec_type == AVMEDIA_TYPE_AUDIO) {
        n[AVMEDIA_TYPE_AUDIO]++;

        if (par->codec_id != AV_CODEC_ID_AAC) {
            decoder_video_codec(par->codec_id, ans);
        }
    }
}


static void
decoder_video_codec(enum AVCodecID id, decoder_answer_t *ans)
{
    char    *p;
    char     error[sizeof(ans->error)];

    snprintf(error, sizeof(error), "this one has %s",
             id == AV_CODEC_ID_NONE ? "another codec" : avcodec_get_name(id));

    for (p = error + strlen("this one has "); id != AV_CODEC_ID_NONE && *p;
         p++)
    {
        *p = toupper((unsigned char) *p);
    }

    decoder_video_error(ans, error);
}


/* the first reason stays */
static void
decoder_video_error(decoder_answer_t *ans, const char *error)
{
    if (ans->error[0] == '\0') {
        snprintf(ans->error, sizeof(ans->error), "%s", error);
    }
}
