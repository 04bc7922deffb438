
/*
 * Copyright (C) ngx_media contributors
 */


#include "ngx_media_amqp.h"

#include "media_codec.h"


char *
ngx_media_amqp_parse_url(ngx_conf_t *cf, ngx_media_amqp_conf_t *conf,
    ngx_str_t *url)
{
    u_char      *p, *last, *at, *slash, *colon;
    ssize_t      n;
    ngx_url_t    u;
    ngx_uint_t   i;
    ngx_str_t   *part[3];

    if (url->len < 7 || ngx_strncmp(url->data, "amqp://", 7) != 0) {
        return "must be amqp://user:password@host:port/vhost";
    }

    p = url->data + 7;
    last = url->data + url->len;

    at = ngx_strlchr(p, last, '@');
    if (at == NULL) {
        return "has no user and password";
    }

    colon = ngx_strlchr(p, at, ':');
    if (colon == NULL || colon == p || colon + 1 == at) {
        return "has no user and password";
    }

    slash = ngx_strlchr(at, last, '/');

    conf->user.data = p;
    conf->user.len = colon - p;
    conf->password.data = colon + 1;
    conf->password.len = at - colon - 1;

    if (slash && slash + 1 < last) {
        conf->vhost.data = slash + 1;
        conf->vhost.len = last - slash - 1;

    } else {
        ngx_str_set(&conf->vhost, "/");
    }

    part[0] = &conf->user;
    part[1] = &conf->password;
    part[2] = &conf->vhost;

    for (i = 0; i < 3; i++) {
        p = ngx_pnalloc(cf->pool, part[i]->len);
        if (p == NULL) {
            return NGX_CONF_ERROR;
        }

        n = media_uri_decode((char *) p, (char *) part[i]->data,
                             part[i]->len);
        if (n < 0 || n > 255) {
            return "has an invalid user, password or virtual host";
        }

        part[i]->data = p;
        part[i]->len = n;
    }

    ngx_memzero(&u, sizeof(ngx_url_t));

    u.url.data = at + 1;
    u.url.len = (slash ? slash : last) - at - 1;
    u.default_port = 5672;

    if (ngx_parse_url(cf->pool, &u) != NGX_OK || u.naddrs == 0) {
        return "has an invalid host";
    }

    conf->peer.addr = &u.addrs[0];
    conf->peer.name.data = ngx_pnalloc(cf->pool,
                                       u.addrs[0].name.len
                                       + sizeof("rabbitmq ") - 1);
    if (conf->peer.name.data == NULL) {
        return NGX_CONF_ERROR;
    }

    conf->peer.name.len = ngx_sprintf(conf->peer.name.data, "rabbitmq %V",
                                      &u.addrs[0].name)
                          - conf->peer.name.data;

    return NGX_CONF_OK;
}
