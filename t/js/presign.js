/*
 * Copyright (C) ngx_media contributors
 *
 * The AWS SDK's signer as a judge: signs the request of a presigned URL again
 * with the same inputs, and exits 0 if the signature is the same.
 *
 *     node presign.js URL SIZE [TYPE]
 */

'use strict';

const assert = require('assert');
const { HttpRequest } = require('@smithy/protocol-http');
const { Hash } = require('@smithy/hash-node');
const { SignatureV4 } = require('@smithy/signature-v4');

const env = process.env;
const [, , text, size, type] = process.argv;
const url = new URL(text);
const given = Object.fromEntries(url.searchParams);

const date = given['X-Amz-Date'].replace(
    /^(....)(..)(..)T(..)(..)(..)Z$/, '$1-$2-$3T$4:$5:$6Z');

async function main() {
    const headers = { host: url.host, 'content-length': size,
        'x-amz-content-sha256': 'UNSIGNED-PAYLOAD' };
    const payload = new Set(['x-amz-content-sha256']);
    const query = {};

    if (type) {
        headers['content-type'] = type;
    }

    for (const name of Object.keys(given)) {
        if (!name.startsWith('X-Amz-')) {
            query[name] = given[name];
        }
    }

    const signer = new SignatureV4({
        service: 's3',
        region: env.S3_REGION,
        uriEscapePath: false,
        sha256: Hash.bind(null, 'sha256'),
        credentials: {
            accessKeyId: env.S3_ACCESS_KEY,
            secretAccessKey: env.S3_SECRET_KEY,
        },
    });

    const signed = await signer.presign(new HttpRequest({
        method: 'PUT', protocol: url.protocol, hostname: url.hostname,
        port: url.port, path: url.pathname, headers, query,
    }), {
        expiresIn: Number(given['X-Amz-Expires']),
        signingDate: new Date(date),
        unsignableHeaders: payload,
        unhoistableHeaders: payload,
    });

    assert.strictEqual(signed.query['X-Amz-SignedHeaders'],
        given['X-Amz-SignedHeaders']);
    assert.strictEqual(signed.query['X-Amz-Signature'],
        given['X-Amz-Signature']);
}

main().catch(e => {
    console.error(e);
    process.exit(1);
});
