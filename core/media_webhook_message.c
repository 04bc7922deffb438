/*
 * Copyright (C) ngx_media contributors
 *
 * WhatsApp's message content as JSON, as Evolution (Baileys) and W-API
 * (Baileys, later whatsmeow) pass it on: one content member, which may stand
 * within wrappers, among others that are none.  The order of members tells
 * nothing.  Quoted messages and link previews carry whole media objects of
 * their own, so nothing is ever searched for below the content member.
 */

#include "media_webhook_int.h"


#define MEDIA_MESSAGE_WRAPPERS_MAX  5


typedef void (*media_content_pt)(media_webhook_t *wh,
    const media_node_t *content);


typedef struct {
    const char        *member;
    const char        *type;
    const char        *key_type;    /* media only */
    media_content_pt   fill;        /* NULL: nothing but the type */
} media_content_t;


static const media_content_t *media_message_find(const media_node_t *message,
    const media_node_t **content, const media_node_t **wrapped);
static const media_content_t *media_message_content(media_str_t member);
static int media_message_ignored(media_str_t member);
static void media_message_text(media_webhook_t *wh,
    const media_node_t *content);
static void media_message_media(media_webhook_t *wh,
    const media_node_t *content);
static void media_message_inline(media_webhook_t *wh,
    const media_node_t *message);
static void media_message_missing(media_webhook_t *wh);
static void media_message_location(media_webhook_t *wh,
    const media_node_t *content);
static void media_message_contact(media_webhook_t *wh,
    const media_node_t *content);
static void media_message_reaction(media_webhook_t *wh,
    const media_node_t *content);
static void media_message_reply(media_webhook_t *wh,
    const media_node_t *content);
static void media_message_named(media_webhook_t *wh,
    const media_node_t *content);
static media_str_t media_message_first(const media_node_t *node,
    const char *const *members);


static const media_content_t  media_contents[] = {
    { "conversation", "text", NULL, NULL },
    { "extendedTextMessage", "text", NULL, media_message_text },
    { "imageMessage", "image", "image", media_message_media },
    { "videoMessage", "video", "video", media_message_media },
    { "ptvMessage", "video", "ptv", media_message_media },
    { "audioMessage", "audio", "audio", media_message_media },
    { "documentMessage", "document", "document", media_message_media },
    { "stickerMessage", "sticker", "sticker", media_message_media },
    { "locationMessage", "location", NULL, media_message_location },
    { "liveLocationMessage", "location", NULL, media_message_location },
    { "contactMessage", "contacts", NULL, media_message_contact },
    { "contactsArrayMessage", "contacts", NULL, media_message_contact },
    { "reactionMessage", "reaction", NULL, media_message_reaction },
    { "encReactionMessage", "reaction", NULL, media_message_reaction },
    { "protocolMessage", "protocol", NULL, media_webhook_protocol },
    { "buttonsResponseMessage", "interactive", NULL, media_message_reply },
    { "listResponseMessage", "interactive", NULL, media_message_reply },
    { "templateButtonReplyMessage", "interactive", NULL,
      media_message_reply },
    { "interactiveResponseMessage", "interactive", NULL,
      media_message_reply },
    { "buttonsMessage", "interactive", NULL, media_message_named },
    { "listMessage", "interactive", NULL, media_message_named },
    { "templateMessage", "interactive", NULL, media_message_named },
    { "interactiveMessage", "interactive", NULL, media_message_named },
    { "highlyStructuredMessage", "interactive", NULL, NULL },
    { "pollCreationMessage", "poll", NULL, media_message_named },
    { "pollCreationMessageV2", "poll", NULL, media_message_named },
    { "pollCreationMessageV3", "poll", NULL, media_message_named },
    { "pollCreationMessageV5", "poll", NULL, media_message_named },
    { "pollUpdateMessage", "poll_vote", NULL, NULL },
    { "pollResultSnapshotMessage", "poll", NULL, media_message_named },
    { "eventMessage", "event", NULL, media_message_named },
    { "encEventResponseMessage", "event", NULL, NULL },
    { "groupInviteMessage", "group_invite", NULL, media_message_named },
    { "newsletterAdminInviteMessage", "group_invite", NULL,
      media_message_named },
    { "orderMessage", "order", NULL, media_message_named },
    { "productMessage", "product", NULL, NULL },
    { "invoiceMessage", "order", NULL, NULL },
    { "requestPaymentMessage", "payment", NULL, NULL },
    { "sendPaymentMessage", "payment", NULL, NULL },
    { "albumMessage", "album", NULL, NULL },
    { "stickerPackMessage", "sticker_pack", NULL, media_message_named },
    { "call", "call", NULL, NULL },
    { "callLogMesssage", "call", NULL, NULL },
    { "pinInChatMessage", "pin", NULL, NULL },
    { "keepInChatMessage", "pin", NULL, NULL }
};


/* members that ride along with the content */
static const char *const  media_ignored[] = {
    "messageContextInfo",
    "senderKeyDistributionMessage",
    "fastRatchetKeySenderKeyDistributionMessage",
    "contextInfo",
    "base64",
    "mediaUrl",
    "speechToText",
    "quoted"
};


void
media_webhook_message(media_webhook_t *wh, const media_node_t *message,
    media_str_t named)
{
    unsigned                n;
    media_str_t             literal;
    const media_node_t     *content, *wrapped, *inner;
    const media_content_t  *found;

    content = NULL;
    found = NULL;
    inner = message;

    for (n = 0; n <= MEDIA_MESSAGE_WRAPPERS_MAX && inner != NULL; n++) {
        wrapped = NULL;

        found = media_message_find(inner, &content, &wrapped);
        if (found != NULL) {
            break;
        }

        if (wrapped != NULL && media_str_begins(wrapped->key, "viewOnce")) {
            wh->media.view_once = 1;
        }

        inner = wrapped ? media_tree_object(wrapped, "message") : NULL;
    }

    if (found == NULL) {
        /* Evolution's own channel sends no content member */
        found = media_message_content(named);
        content = NULL;
    }

    media_str_set(&literal, "unknown", 7);

    if (found != NULL) {
        media_str_set(&literal, found->type, strlen(found->type));
    }

    wh->item.type = literal;

    if (found == NULL) {
        return;
    }

    if (content != NULL && content->type == MEDIA_NODE_STRING) {
        wh->item.text = content->text;
    }

    if (found->key_type != NULL) {
        wh->item.media = &wh->media;
        wh->media.type = literal;
        media_str_set(&wh->media.key_type, found->key_type,
                      strlen(found->key_type));
    }

    if (found->fill != NULL && content != NULL) {
        wh->item.reply_to = media_tree_string(
                                media_tree_object(content, "contextInfo"),
                                "stanzaId");
        found->fill(wh, content);
    }

    if (wh->item.media != NULL) {
        media_message_inline(wh, message);
        media_message_missing(wh);
    }
}


/* the content member of one level, or else what may be a wrapper */
static const media_content_t *
media_message_find(const media_node_t *message, const media_node_t **content,
    const media_node_t **wrapped)
{
    const media_node_t     *child;
    const media_content_t  *found, *text;

    if (message == NULL || message->type != MEDIA_NODE_OBJECT) {
        return NULL;
    }

    text = NULL;

    for (child = message->child; child != NULL; child = child->next) {

        if (child->type == MEDIA_NODE_NULL
            || media_message_ignored(child->key))
        {
            continue;
        }

        found = media_message_content(child->key);

        if (found == NULL) {
            if (*wrapped == NULL && media_tree_object(child, "message")) {
                *wrapped = child;
            }

            continue;
        }

        if (child->type == MEDIA_NODE_OBJECT
            || (child->type == MEDIA_NODE_STRING && child->text.len > 0))
        {
            *content = child;
            return found;
        }

        /* an empty text beside the content of a wrapper or of nothing */

        if (child->type == MEDIA_NODE_STRING
            || child->type == MEDIA_NODE_LONG)
        {
            text = found;
            *content = child;
        }
    }

    return *wrapped == NULL ? text : NULL;
}


static const media_content_t *
media_message_content(media_str_t member)
{
    size_t  i;

    for (i = 0; i < sizeof(media_contents) / sizeof(media_contents[0]); i++) {
        if (media_str_is(member, media_contents[i].member)) {
            return &media_contents[i];
        }
    }

    return NULL;
}


static int
media_message_ignored(media_str_t member)
{
    size_t  i;

    for (i = 0; i < sizeof(media_ignored) / sizeof(media_ignored[0]); i++) {
        if (media_str_is(member, media_ignored[i])) {
            return 1;
        }
    }

    return 0;
}


int
media_webhook_is_message(const media_node_t *node)
{
    const media_node_t  *child;

    if (node == NULL || node->type != MEDIA_NODE_OBJECT) {
        return 0;
    }

    for (child = node->child; child != NULL; child = child->next) {

        if (media_str_is(child->key, "conversation")
            || (child->type == MEDIA_NODE_OBJECT
                && media_str_ends(child->key, "Message")
                && media_message_content(child->key) != NULL
                && media_tree_get(node, "number") == NULL))
        {
            return 1;
        }
    }

    return 0;
}


static void
media_message_text(media_webhook_t *wh, const media_node_t *content)
{
    wh->item.text = media_tree_string(content, "text");
}


static void
media_message_media(media_webhook_t *wh, const media_node_t *content)
{
    int                     set;
    int                    *failed;
    media_arena_t          *arena;
    media_webhook_media_t  *media;

    media = &wh->media;
    arena = &wh->scratch;
    failed = &wh->failed_memory;

    /* mime_type, sha256, filename, voice and animated are the Cloud API's,
       which Evolution passes on for business accounts */

    media->mimetype = media_tree_either(content, "mimetype", "mime_type");
    media->file_name = media_tree_either(content, "fileName", "filename");
    media->caption = media_tree_string(content, "caption");
    media->title = media_tree_string(content, "title");
    media->file_length = media_tree_integer(content, "fileLength");
    media->sha256 = media_tree_bytes(arena, content, "fileSha256", failed);
    media->enc_sha256 = media_tree_bytes(arena, content, "fileEncSha256",
                                         failed);
    media->media_key = media_tree_bytes(arena, content, "mediaKey", failed);
    media->media_key_timestamp = media_tree_time(content,
                                                 "mediaKeyTimestamp");
    media->direct_path = media_tree_string(content, "directPath");
    media->url = media_tree_string(content, "url");
    media->id = media_tree_text(content, "id");
    media->width = media_tree_integer(content, "width");
    media->height = media_tree_integer(content, "height");
    media->seconds = media_tree_integer(content, "seconds");
    media->page_count = media_tree_integer(content, "pageCount");
    media->waveform = media_tree_bytes(arena, content, "waveform", failed);
    media->thumbnail = media_tree_bytes(arena, content, "jpegThumbnail",
                                        failed);

    if (media->sha256.len == 0) {
        media->sha256 = media_tree_bytes(arena, content, "sha256", failed);
    }

    set = media_tree_boolean(content, "ptt");
    set = set >= 0 ? set : media_tree_boolean(content, "voice");
    media->has_ptt = set >= 0;
    media->ptt = set > 0;

    set = media_tree_boolean(content, "isAnimated");
    set = set >= 0 ? set : media_tree_boolean(content, "animated");
    media->has_animated = set >= 0;
    media->is_animated = set > 0;

    if (media_tree_boolean(content, "viewOnce") > 0) {
        media->view_once = 1;
    }

    if (media->ptt && media_str_is(media->key_type, "audio")) {
        media_str_set(&media->key_type, "ptt", 3);
    }

    if (media_tree_boolean(content, "gifPlayback") > 0
        && media_str_is(media->key_type, "video"))
    {
        media_str_set(&media->key_type, "gif", 3);
    }

    wh->item.text = media->caption;
}


/* Evolution's copies of the file, which stand beside the outermost content */
static void
media_message_inline(media_webhook_t *wh, const media_node_t *message)
{
    const media_node_t  *node;

    wh->media.media_url = media_tree_string(message, "mediaUrl");

    node = media_tree_get(message, "base64");

    if (node != NULL
        && (node->type == MEDIA_NODE_LONG
            || (node->type == MEDIA_NODE_STRING && node->text.len > 0)))
    {
        wh->media.base64_offset = (int64_t) node->offset;
        wh->media.base64_length = (int64_t) node->length;
    }
}


static void
media_message_missing(media_webhook_t *wh)
{
    int                     place, plain;
    media_webhook_media_t  *media;

    media = &wh->media;

    place = media->direct_path.len > 0
            || (media_str_begins(media->url, "https://")
                && !media_str_begins(media->url, "https://web.whatsapp.net"));

    media->decryptable = place && media->media_key.len == 32
                         && media->enc_sha256.len == 32;

    /* files that are not encrypted: the Cloud API's, and copies that come
       without any of WhatsApp's fields */

    plain = media->media_key.len == 0 && media->enc_sha256.len == 0
            && media->direct_path.len == 0
            && (media->id.len > 0 || media->base64_length > 0
                || media->media_url.len > 0);

    if (plain) {
        return;
    }

    if (media_str_ends(wh->item.chat, "@newsletter")
        && media->enc_sha256.len == 0)
    {
        if (!place) {
            media->missing[media->nmissing++] = "directPath";
        }

        return;
    }

    if (media->media_key.len == 0) {
        media->missing[media->nmissing++] = "mediaKey";
    }

    if (media->direct_path.len == 0) {
        media->missing[media->nmissing++] = "directPath";
    }

    if (media->sha256.len == 0) {
        media->missing[media->nmissing++] = "fileSha256";
    }

    if (media->enc_sha256.len == 0) {
        media->missing[media->nmissing++] = "fileEncSha256";
    }
}


static void
media_message_location(media_webhook_t *wh, const media_node_t *content)
{
    media_webhook_item_t  *item;

    item = &wh->item;

    item->text = media_tree_either(content, "name", "caption");
    item->address = media_tree_string(content, "address");

    item->has_location = media_tree_double(content, "degreesLatitude",
                                           &item->latitude) == MEDIA_OK
                         && media_tree_double(content, "degreesLongitude",
                                              &item->longitude) == MEDIA_OK;
}


static void
media_message_contact(media_webhook_t *wh, const media_node_t *content)
{
    const media_node_t  *list;

    wh->item.text = media_tree_string(content, "displayName");

    list = media_tree_array(content, "contacts");

    if (wh->item.text.len == 0 && list != NULL) {
        wh->item.text = media_tree_string(list->child, "displayName");
    }
}


static void
media_message_reaction(media_webhook_t *wh, const media_node_t *content)
{
    const media_node_t  *inner;

    /* sent through W-API's own interface it is nested in itself */

    inner = media_tree_object(content, "reactionMessage");
    if (inner != NULL) {
        content = inner;
    }

    wh->item.text = media_tree_string(content, "text");
    wh->item.target_id = media_tree_text(media_tree_object(content, "key"),
                                         "id");
}


/* enumerations of protobuf come by name or by number */
void
media_webhook_protocol(media_webhook_t *wh, const media_node_t *node)
{
    media_str_t          type;
    const media_node_t  *edited;

    type = media_tree_text(node, "type");
    edited = media_tree_object(node, "editedMessage");

    if (edited != NULL && (type.len == 0 || media_str_is(type, "MESSAGE_EDIT")
                           || media_str_is(type, "14")))
    {
        /* text and caption; its media is that of the message it changes */

        media_webhook_message(wh, edited, type);
        media_str_set(&wh->item.type, "edit", 4);
        wh->item.media = NULL;

    } else if (media_str_is(type, "REVOKE") || media_str_is(type, "0")
               || (type.len == 0 && media_tree_object(node, "key")))
    {
        media_str_set(&wh->item.type, "revoke", 6);

    } else {
        media_str_set(&wh->item.type, "protocol", 8);
    }

    wh->item.target_id = media_tree_text(media_tree_object(node, "key"), "id");
}


/* what was chosen of buttons and lists */
static void
media_message_reply(media_webhook_t *wh, const media_node_t *content)
{
    static const char *const  members[] = {
        "selectedDisplayText", "title", "selectedButtonId", "selectedId",
        NULL
    };

    wh->item.text = media_message_first(content, members);

    if (wh->item.text.len == 0) {
        wh->item.text = media_tree_string(media_tree_object(content, "body"),
                                          "text");
    }

    if (wh->item.text.len == 0) {
        wh->item.text = media_tree_string(
                            media_tree_object(content, "singleSelectReply"),
                            "selectedRowId");
    }
}


static void
media_message_named(media_webhook_t *wh, const media_node_t *content)
{
    const media_node_t        *inner;
    static const char *const   members[] = {
        "contentText", "hydratedContentText", "description", "name", "title",
        "groupName", "newsletterName", "orderTitle", "caption", NULL
    };

    inner = media_tree_object(content, "hydratedTemplate");
    if (inner == NULL) {
        inner = media_tree_object(content, "hydratedFourRowTemplate");
    }

    wh->item.text = media_message_first(inner ? inner : content, members);

    if (wh->item.text.len == 0) {
        wh->item.text = media_tree_string(media_tree_object(content, "body"),
                                          "text");
    }
}


static media_str_t
media_message_first(const media_node_t *node, const char *const *members)
{
    media_str_t  text = media_str("");

    for (/* void */; *members != NULL && text.len == 0; members++) {
        text = media_tree_string(node, *members);
    }

    return text;
}
