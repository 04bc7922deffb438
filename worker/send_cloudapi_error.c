/*
 * Copyright (C) ngx_media contributors
 *
 * Errors of the Cloud API.  The code decides: HTTP statuses differ between
 * accounts, and subcodes are deprecated.
 */

#include <stdlib.h>

#include "send_cloudapi.h"


#define CLOUDAPI_SPAM_WAIT  3600        /* seconds */
#define CLOUDAPI_PAIR_MAX   4096


typedef struct {
    long           code;
    long           last;                /* of a range, or 0 */
    send_result_t  result;
    send_scope_t   scope;
    const char    *text;                /* for a support agent */
} cloudapi_error_t;


static const cloudapi_error_t *cloudapi_error(long code);


/*
 * developers.facebook.com, WhatsApp Business Platform, "Error codes"; the
 * actions are those of the gateways that meet them
 */
static const cloudapi_error_t  cloudapi_errors[] = {
    { 0, 0, SEND_STOP, SEND_SCOPE_NUMBER,
      "the access token is not valid: a new one is needed" },
    { 1, 0, SEND_RETRY, SEND_SCOPE_NONE, "WhatsApp had an unknown error" },
    { 2, 0, SEND_RETRY, SEND_SCOPE_NUMBER,
      "WhatsApp's service is down or overloaded" },
    { 3, 0, SEND_STOP, SEND_SCOPE_NUMBER,
      "the app has no permission for this: check its capabilities" },
    { 4, 0, SEND_RETRY, SEND_SCOPE_NUMBER,
      "the app has reached its limit of requests" },
    { 10, 0, SEND_STOP, SEND_SCOPE_NUMBER,
      "the access token has no permission to send from this number" },
    { 33, 0, SEND_FAILED, SEND_SCOPE_NONE,
      "WhatsApp does not know the file or the number" },
    { 100, 0, SEND_FAILED, SEND_SCOPE_NONE,
      "WhatsApp did not accept a part of the message" },
    { 190, 0, SEND_STOP, SEND_SCOPE_NUMBER,
      "the access token has expired or was revoked: a new one is needed" },
    { 200, 299, SEND_STOP, SEND_SCOPE_NUMBER,
      "the access token has no permission to send from this number" },
    { 368, 0, SEND_STOP, SEND_SCOPE_NUMBER,
      "the account is blocked for violations of WhatsApp's policies" },
    { 613, 0, SEND_RETRY, SEND_SCOPE_NUMBER,
      "too many requests in a short time" },
    { 80007, 0, SEND_RETRY, SEND_SCOPE_NUMBER,
      "the WhatsApp Business account has reached its limit of requests" },
    { 130429, 0, SEND_RETRY, SEND_SCOPE_NUMBER,
      "the number sends faster than WhatsApp allows" },
    { 130472, 0, SEND_FAILED, SEND_SCOPE_NONE,
      "WhatsApp keeps this person out of such messages (an experiment)" },
    { 130497, 0, SEND_FAILED, SEND_SCOPE_NONE,
      "the account may not write to people in this country" },
    { 131000, 0, SEND_RETRY, SEND_SCOPE_NONE,
      "WhatsApp had an internal error" },
    { 131005, 0, SEND_STOP, SEND_SCOPE_NUMBER,
      "the access token has no permission to send from this number" },
    { 131008, 0, SEND_FAILED, SEND_SCOPE_NONE,
      "a part of the message is missing" },
    { 131009, 0, SEND_FAILED, SEND_SCOPE_NONE,
      "WhatsApp did not accept a part of the message" },
    { 131016, 0, SEND_RETRY, SEND_SCOPE_NUMBER,
      "WhatsApp's service is overloaded" },
    { 131021, 0, SEND_FAILED, SEND_SCOPE_NONE,
      "a number cannot write to itself" },
    { 131026, 0, SEND_FAILED, SEND_SCOPE_NONE,
      "it cannot be delivered: the person is not on WhatsApp, has an old "
      "version of it, or has not accepted its terms" },
    { 131030, 0, SEND_FAILED, SEND_SCOPE_NONE,
      "this is a test number, and the person is not on its list" },
    { 131031, 0, SEND_STOP, SEND_SCOPE_NUMBER,
      "the WhatsApp Business account is locked" },
    { 131037, 0, SEND_STOP, SEND_SCOPE_NUMBER,
      "the number's display name has not been approved" },
    { 131042, 0, SEND_STOP, SEND_SCOPE_NUMBER,
      "there is a problem with the account's payment method" },
    { 131045, 0, SEND_STOP, SEND_SCOPE_NUMBER,
      "the number is not registered correctly" },
    { 131047, 0, SEND_FAILED, SEND_SCOPE_NONE,
      "the customer last wrote more than 24 hours ago: send an approved "
      "template instead" },
    { 131048, 0, SEND_RETRY, SEND_SCOPE_NUMBER,
      "too many people blocked or reported this number: WhatsApp limits it" },
    { 131049, 0, SEND_FAILED, SEND_SCOPE_NONE,
      "WhatsApp withheld it, as this person gets many such messages: try "
      "again after 24 hours at the earliest" },
    { 131050, 0, SEND_FAILED, SEND_SCOPE_NONE,
      "the person does not want marketing messages from this number" },
    { 131051, 0, SEND_FAILED, SEND_SCOPE_NONE,
      "WhatsApp does not take this type of message" },
    { 131052, 0, SEND_FAILED, SEND_SCOPE_NONE,
      "WhatsApp could not read the file" },
    { 131053, 0, SEND_FAILED, SEND_SCOPE_NONE,
      "WhatsApp could not take the file: its type or content is not what it "
      "supports" },
    { 131056, 0, SEND_RETRY, SEND_SCOPE_PAIR,
      "too many messages to this person in a short time" },
    { 131057, 0, SEND_RETRY, SEND_SCOPE_NUMBER,
      "the account is in maintenance mode" },
    { 131062, 0, SEND_FAILED, SEND_SCOPE_NONE,
      "this message needs the person's phone number, which is not known" },
    { 132000, 0, SEND_FAILED, SEND_SCOPE_NONE,
      "the template has another number of parameters" },
    { 132001, 0, SEND_FAILED, SEND_SCOPE_NONE,
      "there is no approved template of this name in this language" },
    { 132005, 0, SEND_FAILED, SEND_SCOPE_NONE,
      "the template's text becomes too long" },
    { 132007, 0, SEND_FAILED, SEND_SCOPE_NONE,
      "the template violates a policy of WhatsApp" },
    { 132012, 0, SEND_FAILED, SEND_SCOPE_NONE,
      "a parameter of the template has the wrong format" },
    { 132015, 132016, SEND_FAILED, SEND_SCOPE_NONE,
      "the template is paused or disabled, as it was rated badly" },
    { 132018, 0, SEND_FAILED, SEND_SCOPE_NONE,
      "the template's parameters are not valid" },
    { 132068, 132069, SEND_FAILED, SEND_SCOPE_NONE,
      "the template's flow is blocked or limited" },
    { 133004, 0, SEND_RETRY, SEND_SCOPE_NUMBER,
      "WhatsApp's service is not available" },
    { 133010, 0, SEND_STOP, SEND_SCOPE_NUMBER,
      "the number is not registered for the Cloud API" },
    { 133016, 0, SEND_RETRY, SEND_SCOPE_NUMBER,
      "too many attempts to register the number" },
    { 135000, 0, SEND_FAILED, SEND_SCOPE_NONE,
      "WhatsApp had an error with this message" },
};


send_result_t
cloudapi_refused(send_t *s, const http_answer_t *ans)
{
    int                      i;
    char                     code[16], words[256], message[1024];
    char                     details[1024];
    send_result_t            result;
    const char              *p, *text;
    answer_member_t          members[] = {
        { "error.code", code, sizeof(code) },
        { "error.message", message, sizeof(message) },
        { "error.error_data.details", details, sizeof(details) },
        { NULL, NULL, 0 }
    };
    const cloudapi_error_t  *error;

    send_error_members(ans->text, members);
    error = code[0] != '\0' ? cloudapi_error(strtol(code, NULL, 10)) : NULL;

    if (code[0] == '\0') {
        return send_status(s, ans);
    }

    s->retry_after = ans->retry_after;

    if (error == NULL) {
        result = ans->status >= 500
                 || strstr(ans->text, "\"is_transient\":true") != NULL
                 ? SEND_RETRY : SEND_FAILED;

        if (ans->status == 401 || ans->status == 403 || ans->status == 429) {
            result = send_status(s, ans);
        }

        text = "WhatsApp refused the message";

    } else if (strstr(message, "Unsupported post request") != NULL) {
        result = SEND_STOP;
        s->scope = SEND_SCOPE_NUMBER;
        text = "the access token does not belong to this phone number id";

    } else {
        result = error->result;
        s->scope = error->scope;
        text = error->text;
    }

    if (details[0] == '\0') {
        /* "(#131009) Parameter value is not valid" */
        p = strstr(message, ") ");
        snprintf(details, sizeof(details), "%s",
                 message[0] == '(' && p != NULL ? p + 2 : message);
    }

    /* "Malformed access token EAA..." */
    if (error != NULL && (error->code == 0 || error->code == 190)) {
        details[0] = '\0';
    }

    send_words(words, sizeof(words), s, details);
    send_error(s, code, "%s (error %s%s%s)", text, code,
               words[0] != '\0' ? ": " : "", words);

    switch (strtol(code, NULL, 10)) {

    case 131048:
        if (s->retry_after == 0) {
            s->retry_after = CLOUDAPI_SPAM_WAIT;
        }

        break;

    case 131056:
        /* 4 to the power of 0, 1, 2 ... seconds, as Meta advises */
        if (s->retry_after == 0) {
            s->retry_after = 1;

            for (i = 1; i < s->attempts
                 && s->retry_after < CLOUDAPI_PAIR_MAX; i++)
            {
                s->retry_after *= 4;
            }
        }

        break;

    case 131052:
    case 131053:
    case 135000:
        /* often a failure of their own */
        if (s->attempts < 2) {
            return SEND_RETRY;
        }

        break;
    }

    return result;
}


static const cloudapi_error_t *
cloudapi_error(long code)
{
    size_t  i;

    for (i = 0; i < sizeof(cloudapi_errors) / sizeof(cloudapi_errors[0]); i++)
    {
        if (code == cloudapi_errors[i].code
            || (code > cloudapi_errors[i].code
                && code <= cloudapi_errors[i].last))
        {
            return &cloudapi_errors[i];
        }
    }

    return NULL;
}


bool
cloudapi_media_unknown(const http_answer_t *ans)
{
    char             code[16], subcode[16];
    answer_member_t  members[] = {
        { "error.code", code, sizeof(code) },
        { "error.error_subcode", subcode, sizeof(subcode) },
        { NULL, NULL, 0 }
    };

    send_error_members(ans->text, members);

    return strcmp(code, "131009") == 0
           || strcmp(code, "131052") == 0
           || strcmp(code, "131053") == 0
           || strcmp(code, "33") == 0
           || (strcmp(code, "100") == 0
               && (strcmp(subcode, "33") == 0 || subcode[0] == '\0'));
}
