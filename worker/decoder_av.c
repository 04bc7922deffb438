/*
 * Copyright (C) ngx_media contributors
 */

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <libavutil/display.h>
#include <libavutil/intreadwrite.h>

#include "decoder_audio.h"
#include "decoder_poster.h"


/*
 * What is in audio and video files, in the decoder process: what the head of
 * a file says, compared with what follows it.
 */


#define DECODER_AV_EXACT  300000        /* ms that are decoded in full */
#define DECODER_AV_LACKS  1000          /* ms that the end may lack */
#define DECODER_AV_BOXES  100000
#define DECODER_AV_INDEX  (64LL * 1024 * 1024)

#define decoder_av_ms(value, base)  (1000.0 * (value) * av_q2d(base))


typedef struct {
    double  sum;                        /* of packets' durations */
    double  end;                        /* of the last one shown */
} decoder_av_span_t;


static bool decoder_av_boxes(decoder_audio_t *a, bool *cut);
static AVStream *decoder_av_streams(decoder_audio_t *a);
static void decoder_av_name(char *name, size_t size, enum AVCodecID id);
static bool decoder_av_inspect(decoder_audio_t *a, AVStream *video);
static bool decoder_av_head(decoder_audio_t *a, double *ms);
static bool decoder_av_video(decoder_audio_t *a, AVStream *video);
static int decoder_av_rotation(const AVStream *stream);
static bool decoder_av_audio(decoder_audio_t *a);
static void decoder_av_packets(decoder_audio_t *a, decoder_av_span_t *span);
static double decoder_av_skipped(const AVPacket *packet, int rate);
static bool decoder_av_lasts(decoder_audio_t *a, double head, double ms);


void
decoder_av(const decoder_request_t *req, int in, int out,
    decoder_answer_t *ans)
{
    bool              cut;
    decoder_audio_t   a;

    decoder_audio_init(&a, req, in, out, ans);

    if (decoder_av_boxes(&a, &cut) && decoder_audio_open(&a)
        && decoder_av_inspect(&a, decoder_av_streams(&a)) && cut)
    {
        decoder_fail(ans, DECODER_CORRUPT, "its end is missing");
    }

    decoder_audio_close(&a);
}


/* the boxes of an MP4 (ISO/IEC 14496-12, 4.2), before libavformat reads an
   index of any size */
static bool
decoder_av_boxes(decoder_audio_t *a, bool *cut)
{
    int            n;
    int64_t        at, size;
    const char    *demuxer;
    unsigned char  head[16];

    *cut = false;
    demuxer = decoder_io_demuxer(a->req->mime);

    if (demuxer == NULL || strcmp(demuxer, "mov") != 0) {
        return true;
    }

    memset(head, 0, sizeof(head));

    for (at = 0, n = 0; n < DECODER_AV_BOXES; at += size, n++) {

        if (pread(a->in.fd, head, sizeof(head), at) < 8) {
            return true;
        }

        size = AV_RB32(head) == 1 ? (int64_t) AV_RB64(head + 8)
                                  : (int64_t) AV_RB32(head);

        if (size == 0) {                    /* to the end of the file */
            size = a->in.size - at;
        }

        if (memcmp(head + 4, "moov", 4) == 0 && size > DECODER_AV_INDEX) {
            return decoder_fail(a->ans, DECODER_REFUSED,
                                "its index has %lld MB, of %lld at most",
                                (long long) size >> 20,
                                DECODER_AV_INDEX >> 20);
        }

        if (size < 8 || size > a->in.size - at) {
            *cut = true;
            return true;
        }
    }

    return true;
}


/* the codecs; the first video, if there is one */
static AVStream *
decoder_av_streams(decoder_audio_t *a)
{
    unsigned                  i;
    AVStream                 *stream, *video;
    decoder_answer_t         *ans;
    const AVCodecParameters  *par;

    ans = a->ans;
    video = NULL;

    for (i = 0; i < a->demuxer->nb_streams; i++) {
        stream = a->demuxer->streams[i];
        par = stream->codecpar;

        /* a picture of the cover is no video */
        if (par->codec_type == AVMEDIA_TYPE_VIDEO && video == NULL
            && !(stream->disposition & AV_DISPOSITION_ATTACHED_PIC))
        {
            video = stream;
            decoder_av_name(ans->video_codec, sizeof(ans->video_codec),
                            par->codec_id);
        }

        if (par->codec_type == AVMEDIA_TYPE_AUDIO
            && ans->audio_codec[0] == '\0')
        {
            decoder_av_name(ans->audio_codec, sizeof(ans->audio_codec),
                            par->codec_id);
            ans->sample_rate = par->sample_rate > 0 ? par->sample_rate : 0;
            ans->channels = par->ch_layout.nb_channels > 0
                            ? par->ch_layout.nb_channels : 0;
        }
    }

    return video;
}


static void
decoder_av_name(char *name, size_t size, enum AVCodecID id)
{
    snprintf(name, size, "%s",
             id == AV_CODEC_ID_NONE ? "unknown" : avcodec_get_name(id));
}


static bool
decoder_av_inspect(decoder_audio_t *a, AVStream *video)
{
    return video != NULL ? decoder_av_video(a, video) : decoder_av_audio(a);
}


/* what the head says, 0 if nothing; a double holds whatever that is */
static bool
decoder_av_head(decoder_audio_t *a, double *ms)
{
    int        limit;
    double     n;
    unsigned   i;
    AVStream  *stream;

    *ms = 0;

    if (a->demuxer->duration != AV_NOPTS_VALUE
        && a->demuxer->duration_estimation_method
           != AVFMT_DURATION_FROM_BITRATE)
    {
        *ms = a->demuxer->duration / 1000.0;
    }

    for (i = 0; i < a->demuxer->nb_streams; i++) {
        stream = a->demuxer->streams[i];

        if (stream->duration != AV_NOPTS_VALUE
            && a->demuxer->duration_estimation_method
               != AVFMT_DURATION_FROM_BITRATE)
        {
            n = decoder_av_ms(stream->duration, stream->time_base);
            *ms = n > *ms ? n : *ms;
        }
    }

    limit = a->req->limits.duration;

    if (limit != 0 && *ms > 1000.0 * limit) {
        return decoder_fail(a->ans, DECODER_REFUSED,
                            "it says that it lasts %.0f s, of %d at most",
                            *ms / 1000, limit);
    }

    return true;
}


static bool
decoder_av_video(decoder_audio_t *a, AVStream *video)
{
    int                 degrees, width;
    double              head;
    int64_t             limit;
    decoder_answer_t   *ans;
    decoder_av_span_t   span;
    AVCodecParameters  *par;

    ans = a->ans;
    par = video->codecpar;
    limit = a->req->limits.pixels;

    /* of MPEG-4, only its own head has it */
    if ((par->width <= 0 || par->height <= 0)
        && (avformat_find_stream_info(a->demuxer, NULL) < 0
            || par->width <= 0 || par->height <= 0))
    {
        return decoder_fail(ans, DECODER_CORRUPT, "its size is not known");
    }

    degrees = decoder_av_rotation(video);
    ans->rotation = degrees;
    width = degrees % 180 == 0 ? par->width : par->height;
    ans->height = degrees % 180 == 0 ? par->height : par->width;
    ans->width = width;

    if (limit != 0 && (int64_t) par->width * par->height > limit) {
        return decoder_fail(ans, DECODER_REFUSED,
                            "it has %dx%d pixels, %lld at most", par->width,
                            par->height, (long long) limit);
    }

    if (!decoder_av_head(a, &head)) {
        return false;
    }

    decoder_av_packets(a, &span);
    ans->duration_ms = head != 0 ? head + 0.5 : span.end + 0.5;

    return decoder_av_lasts(a, head, span.end)
           && decoder_poster(a->req, a->demuxer, video, a->out.fd, ans);
}


/* clockwise, to make it upright */
static int
decoder_av_rotation(const AVStream *stream)
{
    double          degrees;
    const uint8_t  *matrix;

#if LIBAVFORMAT_VERSION_MAJOR >= 61
    const AVPacketSideData  *data;

    data = av_packet_side_data_get(stream->codecpar->coded_side_data,
                                   stream->codecpar->nb_coded_side_data,
                                   AV_PKT_DATA_DISPLAYMATRIX);
    matrix = data != NULL && data->size >= 9 * sizeof(int32_t)
             ? data->data : NULL;
#else
    size_t  size;

    matrix = av_stream_get_side_data(stream, AV_PKT_DATA_DISPLAYMATRIX,
                                     &size);
    matrix = matrix != NULL && size >= 9 * sizeof(int32_t) ? matrix : NULL;
#endif

    if (matrix == NULL) {
        return 0;
    }

    degrees = av_display_rotation_get((const int32_t *) matrix);

    if (isnan(degrees)) {               /* of a matrix without a rotation */
        return 0;
    }

    switch ((720 - (int) (degrees + 360.5)) % 360) {

    case 90:
        return 90;

    case 180:
        return 180;

    case 270:
        return 270;

    default:
        return 0;
    }
}


static bool
decoder_av_audio(decoder_audio_t *a)
{
    double             head, means[DECODER_WAVEFORM];
    decoder_answer_t  *ans;
    decoder_av_span_t  span;

    ans = a->ans;

    if (!decoder_audio_codec(a)) {
        return false;
    }

    ans->sample_rate = a->decoder->sample_rate;
    ans->channels = a->decoder->ch_layout.nb_channels;

    if (!decoder_av_head(a, &head)) {
        return false;
    }

    decoder_av_packets(a, &span);

    if (span.sum <= 0) {
        span.sum = head;
    }

    if (!decoder_audio_rewind(a)) {
        return false;
    }

    if (span.sum < DECODER_AV_EXACT) {
        return decoder_audio_run(a)
               && decoder_av_lasts(a, head, ans->duration_ms);
    }

    if (a->req->limits.duration != 0
        && span.sum > 1000.0 * a->req->limits.duration)
    {
        return decoder_fail(ans, DECODER_REFUSED,
                            "it lasts %.0f s, of %d at most",
                            span.sum / 1000, a->req->limits.duration);
    }

    ans->duration_ms = span.sum + 0.5;

    memset(means, 0, sizeof(means));

    if (!decoder_av_lasts(a, head, span.sum)
        || !decoder_audio_parts(a, span.sum, means))
    {
        return false;
    }

    decoder_waveform_set(ans, means);

    return true;
}


/* all of them are read, none is decoded */
static void
decoder_av_packets(decoder_audio_t *a, decoder_av_span_t *span)
{
    double           n;
    const AVPacket  *packet;
    const AVStream  *stream;

    packet = a->packet;
    span->sum = 0;
    span->end = 0;

    while (av_read_frame(a->demuxer, a->packet) >= 0) {
        stream = a->demuxer->streams[packet->stream_index];

        if (stream == a->stream && packet->duration > 0) {
            span->sum += decoder_av_ms(packet->duration, stream->time_base)
                         - decoder_av_skipped(packet, a->ans->sample_rate);
        }

        if (packet->pts != AV_NOPTS_VALUE) {
            n = decoder_av_ms((double) packet->pts + packet->duration,
                              stream->time_base);
            span->end = n > span->end ? n : span->end;
        }

        av_packet_unref(a->packet);
    }
}


/* ms that an encoder added, which are not played */
static double
decoder_av_skipped(const AVPacket *packet, int rate)
{
    size_t          size;
    const uint8_t  *data;

    data = av_packet_get_side_data(packet, AV_PKT_DATA_SKIP_SAMPLES, &size);

    return data == NULL || size < 8 || rate <= 0
           ? 0 : 1000.0 * ((double) AV_RL32(data) + AV_RL32(data + 4)) / rate;
}


/* what is missing was cut off, or never there */
static bool
decoder_av_lasts(decoder_audio_t *a, double head, double ms)
{
    if (ms < head * 0.9 && ms < head - DECODER_AV_LACKS) {
        a->ans->duration_ms = ms;
        return decoder_fail(a->ans, DECODER_CORRUPT,
                            "it says that it lasts %.0f s, but has %.0f s",
                            head / 1000, ms / 1000);
    }

    return true;
}
