/*
 * Copyright (C) ngx_media contributors
 *
 * The canonical form of WhatsApp addresses, so that one person is one chat
 * however a provider spells the number.
 */

#include <ctype.h>
#include <strings.h>

#include "media_webhook.h"


#define MEDIA_ADDRESS_BR_SHORT   12     /* 55, area code, 8 digits */
#define MEDIA_ADDRESS_BR_NINTH   4      /* where the ninth digit belongs */


static int media_address_domain_is(media_str_t domain, const char *name);
static media_str_t media_address_digits(media_str_t user);
static int media_address_phone_like(media_str_t s);
static ssize_t media_address_phone(char *dst, size_t size, media_str_t s);
static ssize_t media_address_copy(char *dst, size_t size, media_str_t user,
    const char *domain, size_t len);


ssize_t
media_address_canonical(char *dst, size_t size, media_str_t raw)
{
    char         lower[32];
    size_t       i;
    const char  *at;
    media_str_t  user, domain;

    while (raw.len > 0 && isspace((unsigned char) raw.data[0])) {
        raw.data++;
        raw.len--;
    }

    while (raw.len > 0 && isspace((unsigned char) raw.data[raw.len - 1])) {
        raw.len--;
    }

    at = (raw.len > 0) ? memchr(raw.data, '@', raw.len) : NULL;

    if (at == NULL) {
        user = media_address_digits(raw);

        return media_address_phone_like(user)
               ? media_address_phone(dst, size, user)
               : media_address_copy(dst, size, raw, "", 0);
    }

    media_str_set(&user, raw.data, (size_t) (at - raw.data));
    media_str_set(&domain, at + 1, raw.len - user.len - 1);

    if (media_address_domain_is(domain, "s.whatsapp.net")
        || media_address_domain_is(domain, "c.us")
        || media_address_domain_is(domain, "hosted"))
    {
        user = media_address_digits(user);

        if (user.len == 0 || media_address_phone_like(user)) {
            return media_address_phone(dst, size, user);
        }
    }

    if (media_address_domain_is(domain, "lid")
        || media_address_domain_is(domain, "hosted.lid"))
    {
        return media_address_copy(dst, size, media_address_digits(user),
                                  "@lid", 4);
    }

    if (domain.len + 1 > sizeof(lower)) {
        return media_address_copy(dst, size, raw, "", 0);
    }

    lower[0] = '@';

    for (i = 0; i < domain.len; i++) {
        lower[i + 1] = (char) tolower((unsigned char) domain.data[i]);
    }

    return media_address_copy(dst, size, user, lower, domain.len + 1);
}


static int
media_address_domain_is(media_str_t domain, const char *name)
{
    return domain.len == strlen(name)
           && strncasecmp(domain.data, name, domain.len) == 0;
}


/* without the agent and device suffixes: "5511...:12", "5511..._1:12" */
static media_str_t
media_address_digits(media_str_t user)
{
    size_t  i;

    for (i = 0; i < user.len; i++) {

        if (isdigit((unsigned char) user.data[i]) || i == 0) {
            continue;
        }

        if (user.data[i] == ':' || user.data[i] == '_') {
            user.len = i;
        }

        break;
    }

    return user;
}


/* digits, and what people write between them */
static int
media_address_phone_like(media_str_t s)
{
    size_t  i, digits;

    digits = 0;

    for (i = 0; i < s.len; i++) {

        if (isdigit((unsigned char) s.data[i])) {
            digits++;

        } else if (s.data[i] == '\0' || strchr("+-(). ", s.data[i]) == NULL) {
            return 0;
        }
    }

    return digits > 0;
}


static ssize_t
media_address_phone(char *dst, size_t size, media_str_t s)
{
    size_t  i, n;

    n = 0;

    for (i = 0; i < s.len; i++) {

        if (!isdigit((unsigned char) s.data[i])) {
            continue;
        }

        if (n + 2 >= size) {
            return MEDIA_NOSPACE;
        }

        dst[n++] = s.data[i];
    }

    if (size == 0) {
        return MEDIA_NOSPACE;
    }

    /* Anatel resolution 553/2010: mobile numbers got a 9 in front */

    if (n == MEDIA_ADDRESS_BR_SHORT && memcmp(dst, "55", 2) == 0
        && dst[2] != '0' && dst[3] != '0' && dst[MEDIA_ADDRESS_BR_NINTH] >= '6')
    {
        memmove(dst + MEDIA_ADDRESS_BR_NINTH + 1,
                dst + MEDIA_ADDRESS_BR_NINTH, n - MEDIA_ADDRESS_BR_NINTH);
        dst[MEDIA_ADDRESS_BR_NINTH] = '9';
        n++;
    }

    dst[n] = '\0';

    return (ssize_t) n;
}


static ssize_t
media_address_copy(char *dst, size_t size, media_str_t user,
    const char *domain, size_t len)
{
    if (user.len + len >= size) {
        return MEDIA_NOSPACE;
    }

    if (user.len > 0) {
        memcpy(dst, user.data, user.len);
    }

    memcpy(dst + user.len, domain, len);
    dst[user.len + len] = '\0';

    return (ssize_t) (user.len + len);
}
