/*
 * Copyright (C) ngx_media contributors
 *
 * Headless Chromium for a test: browser.js CHROMIUM DIRECTORY.  Reads commands
 * from its input, one JSON array a line, and answers each with one line:
 *
 *     ["open", URL]             a page, for the commands that follow
 *     ["reload"]                loads it anew
 *     ["call", NAME, ARG ...]   calls a function of that page
 *     ["visit", URL]            opens an address by itself
 *
 * Every host of example.com and example.net is this one.
 */

'use strict';

const puppeteer = require('puppeteer-core');
const readline = require('readline');

const rate = 4 * 1048576;       // bytes a second

const [executablePath, directory] = process.argv.slice(2);

let browser;
let page;
let downloads = [];

const commands = {
    async open(url) {
        if (page) {
            await page.close();
        }
        page = await browser.newPage();

        // a file of some megabytes does not arrive at once, as in life
        await page.emulateNetworkConditions({ download: rate, upload: rate,
            latency: 0 });
        await page.goto(url);
        return page.title();
    },

    async reload() {
        await page.reload();
        return page.title();
    },

    call(name, ...args) {
        return page.evaluate((fn, values) => window[fn](...values), name,
            args);
    },

    async visit(url) {
        const tab = await browser.newPage();
        const result = {};

        downloads = [];

        try {
            const response = await tab.goto(url);
            result.status = response.status();
            result.type = await tab.evaluate(() => document.contentType);
            result.origin = await tab.evaluate(() => window.origin);
        } catch (e) {
            result.error = e.message.replace(/ at .*/, '');
        }

        for (let i = 0; i < 10 && result.error && !downloads[0]; i++) {
            await new Promise(resolve => setTimeout(resolve, 50));
        }
        result.download = downloads[0];
        await tab.close();
        return result;
    },
};

async function main() {
    browser = await puppeteer.launch({
        executablePath,
        userDataDir: directory + '/profile',
        headless: true,
        args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage',
            '--mute-audio', '--no-first-run',
            '--host-resolver-rules=MAP *.example.com 127.0.0.1,'
                + 'MAP *.example.net 127.0.0.1',
            '--autoplay-policy=no-user-gesture-required'],
    });

    const session = await browser.target().createCDPSession();

    await session.send('Browser.setDownloadBehavior', { behavior: 'allow',
        downloadPath: directory, eventsEnabled: true });
    session.on('Browser.downloadWillBegin',
        event => downloads.push(event.suggestedFilename));

    console.log(JSON.stringify(await browser.version()));

    for await (const line of readline.createInterface({
        input: process.stdin }))
    {
        const [name, ...args] = JSON.parse(line);
        let answer;

        try {
            answer = await commands[name](...args) ?? null;
        } catch (e) {
            answer = { error: e.message };
        }
        console.log(JSON.stringify(answer));
    }

    await browser.close();
}

main().catch(e => {
    console.log(JSON.stringify({ error: e.message }));
    process.exit(1);
});
