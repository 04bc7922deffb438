/*
 * Copyright (C) ngx_media contributors
 *
 * The AWS SDK for JavaScript against S3_ENDPOINT_URL; exits 0 if all went as
 * with S3.
 */

'use strict';

const assert = require('assert');
const s3 = require('@aws-sdk/client-s3');
const { getSignedUrl } = require('@aws-sdk/s3-request-presigner');

const env = process.env;

const client = new s3.S3Client({
    endpoint: env.S3_ENDPOINT_URL,
    region: env.S3_REGION,
    forcePathStyle: true,
    credentials: {
        accessKeyId: env.S3_ACCESS_KEY,
        secretAccessKey: env.S3_SECRET_KEY,
    },
});

const Bucket = env.BUCKET;
const names = ['plain.txt', 'a b+c=d@e.txt', 'q"uo\'te', 'per%2Fcent',
    'été/€', 'deep/er/file'];

async function code(command) {
    try {
        await client.send(command);
    } catch (e) {
        return e.name;
    }
    return '';
}

async function main() {
    for (const Key of names) {
        await client.send(new s3.PutObjectCommand({ Bucket, Key,
            Body: 'body of ' + Key, ContentType: 'text/plain',
            Metadata: { owner: 'js' } }));
        const got = await client.send(new s3.GetObjectCommand({ Bucket,
            Key }));
        assert.strictEqual(await got.Body.transformToString(),
            'body of ' + Key);
        assert.strictEqual(got.ContentType, 'text/plain');
        assert.strictEqual(got.Metadata.owner, 'js');
    }

    const list = await client.send(new s3.ListObjectsV2Command({ Bucket,
        Delimiter: '/' }));
    assert.deepStrictEqual(list.CommonPrefixes.map(p => p.Prefix),
        ['deep/', 'été/']);
    assert.strictEqual(list.Contents.length, 4);

    assert.strictEqual(await code(new s3.GetObjectCommand({ Bucket,
        Key: 'none' })), 'NoSuchKey');

    const url = await getSignedUrl(client, new s3.PutObjectCommand({ Bucket,
        Key: 'signed', ContentType: 'image/jpeg', ContentLength: 4 }),
        { expiresIn: 60, signableHeaders: new Set(['content-type',
            'content-length']), unhoistableHeaders: new Set() });
    const put = (body, type) => fetch(url, { method: 'PUT', body,
        headers: { 'content-type': type } });

    assert.strictEqual((await put('evil', 'text/html')).status, 403);
    assert.strictEqual((await put('too long', 'image/jpeg')).status, 403);
    assert.strictEqual((await put('good', 'image/jpeg')).status, 200);

    const get = await getSignedUrl(client, new s3.GetObjectCommand({ Bucket,
        Key: 'signed', ResponseContentType: 'text/plain' }),
        { expiresIn: 60 });
    const answer = await fetch(get);
    assert.strictEqual(answer.headers.get('content-type'), 'text/plain');
    assert.strictEqual(await answer.text(), 'good');
    assert.strictEqual((await fetch(get.replace('signed', 'plain.txt')))
        .status, 403);

    await client.send(new s3.CopyObjectCommand({ Bucket, Key: 'copy',
        CopySource: Bucket + '/' + encodeURIComponent(names[1]) }));

    const { UploadId } = await client.send(
        new s3.CreateMultipartUploadCommand({ Bucket, Key: 'parts' }));
    const Parts = [];

    for (const PartNumber of [1, 2]) {
        const part = await client.send(new s3.UploadPartCommand({ Bucket,
            Key: 'parts', UploadId, PartNumber,
            Body: Buffer.alloc(PartNumber === 1 ? 5242880 : 10, 'x') }));
        Parts.push({ PartNumber, ETag: part.ETag });
    }

    await client.send(new s3.CompleteMultipartUploadCommand({ Bucket,
        Key: 'parts', UploadId, MultipartUpload: { Parts } }));
    const head = await client.send(new s3.HeadObjectCommand({ Bucket,
        Key: 'parts' }));
    assert.strictEqual(head.ContentLength, 5242890);

    const gone = await client.send(new s3.DeleteObjectsCommand({ Bucket,
        Delete: { Objects: [...names, 'signed', 'copy', 'parts']
            .map(Key => ({ Key })) } }));
    assert.strictEqual(gone.Deleted.length, names.length + 3);
}

main().catch(e => {
    console.error(e);
    process.exit(1);
});
