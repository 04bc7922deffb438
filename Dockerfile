# Two images from one build:
#   docker build --target nginx  -t ngx-media-nginx .
#   docker build --target worker -t ngx-media-worker .

FROM debian:trixie-slim AS build

RUN apt-get update && apt-get install -y --no-install-recommends \
        gcc make pkg-config nginx-dev libavcodec-dev libavformat-dev \
        libavutil-dev libcairo2-dev libcurl4-openssl-dev libexif-dev \
        libexpat1-dev libheif-dev libhiredis-dev libjpeg-dev liblcms2-dev \
        libmagic-dev libmagickwand-dev libmicrohttpd-dev libpng-dev \
        libpoppler-glib-dev libpq-dev librabbitmq-dev libseccomp-dev libssl-dev \
        libswresample-dev libswscale-dev libwebp-dev libyajl-dev libzip-dev \
        zlib1g-dev \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /src
COPY . .
RUN ./configure && make && make install DESTDIR=/out


FROM debian:trixie-slim AS nginx

RUN apt-get update && apt-get install -y --no-install-recommends \
        nginx libhiredis1.1.0 librabbitmq4 libyajl2 \
    && rm -rf /var/lib/apt/lists/* /etc/nginx/sites-enabled/default

COPY --from=build /out/usr/lib/nginx/modules/ /usr/lib/nginx/modules/
COPY --from=build /out/usr/share/nginx/modules-available/ \
        /usr/share/nginx/modules-available/
RUN ln -s /usr/share/nginx/modules-available/mod-http-media.conf \
        /etc/nginx/modules-enabled/50-mod-http-media.conf

# the example configuration with the names of compose.yaml, where browsers reach
# S3 by another; its Redis has no password, and logs go to the container's own
COPY conf/media.conf conf/media_auth.conf conf/media_limits.conf \
        conf/media_s3_proxy.conf conf/media_serve.conf conf/media_upload.conf \
        /etc/nginx/
RUN sed -i 's|/etc/nginx/media/|/run/secrets/|' /etc/nginx/media_auth.conf \
    && sed -i 's|^#\(media_upload_endpoint  *\).*|\1http://127.0.0.1:9000;|' \
        /etc/nginx/media_upload.conf \
    && sed -e '/media_redis_password_file/d' \
        -e 's|/etc/nginx/media/|/run/secrets/|' \
        -e 's|127.0.0.1:6379|redis:6379|' \
        -e 's|127.0.0.1:9000|minio:9000|' \
        -e 's|http://media.example.com/|http://127.0.0.1:8080/|' \
        -e 's|/var/log/nginx/media-access.log|/dev/stdout|' \
        /etc/nginx/media.conf > /etc/nginx/conf.d/media.conf

EXPOSE 80
STOPSIGNAL SIGQUIT
CMD ["nginx", "-g", "daemon off;"]


FROM debian:trixie-slim AS worker

RUN apt-get update && apt-get install -y --no-install-recommends \
        ca-certificates libavcodec61 libavformat61 libavutil59 libcairo2 \
        libcurl4t64 libexif12 libexpat1 libheif-plugin-dav1d \
        libheif-plugin-libde265 libheif1 libhiredis1.1.0 libjpeg62-turbo \
        liblcms2-2 libmagic1t64 \
        libmagickcore-7.q16-10-extra libmagickwand-7.q16-10 \
        libmicrohttpd12t64 libpng16-16t64 \
        libpoppler-glib8t64 libpq5 librabbitmq4 libseccomp2 libswresample5 \
        libswscale8 libwebpdemux2 libwebpmux3 libyajl2 libzip5 \
        poppler-data zlib1g \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --home-dir /nonexistent --shell /usr/sbin/nologin \
        media-worker

COPY --from=build /out/usr/bin/media-worker /out/usr/bin/mediactl /usr/bin/
COPY --from=build /out/usr/libexec/ngx-media/ /usr/libexec/ngx-media/
COPY --from=build /out/usr/share/ngx-media/sql/ /usr/share/ngx-media/sql/

USER media-worker
STOPSIGNAL SIGTERM
CMD ["sh", "-c", "media-worker --migrate && exec media-worker"]
