/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A message as a POST request. Any 2xx is a receipt; the body of the answer is not looked at.
 */
#include "injector/run/notify_internal.h"

#include "injector/experiment/format.h"
#include "injector/probes/http_request.h"
#include "injector/probes/http_url.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct webhook {
	struct http_request request;
	struct notify_way *way;
};

static void on_answer(struct http_request *request)
{
	struct webhook *webhook = (struct webhook *)request; /* its first member */
	char trouble[48];
	long status = 0;

	request->web->easy_getinfo(request->easy, CURLINFO_RESPONSE_CODE, &status);
	snprintf(trouble, sizeof(trouble), "status %ld", status);
	notify_sent(webhook->way, status >= 200 && status < 300 ? NULL : trouble);
}

static void on_failure(struct http_request *request, const char *reason)
{
	notify_sent(((struct webhook *)request)->way, reason);
}

static int webhook_open(struct notify_way *way, struct error *err)
{
	const struct params *params = &way->spec->params;
	const struct http_options options = {
		.url = params_text(params, NOTIFY_PARAM_WEBHOOK),
		.method = HTTP_POST,
		.is_reusing = true,
		.params = params,
		.header = NOTIFY_PARAM_HEADER,
		.insecure = NOTIFY_PARAM_INSECURE,
		.ca = NOTIFY_PARAM_CA,
		.content_type = "Content-Type: application/json",
	};
	struct webhook *webhook = way->state = calloc(1, sizeof(*webhook));
	struct endpoint_host server;
	char host[ENDPOINT_TEXT_SIZE];
	int result;

	if (!webhook)
		return error_errno(err, ENOMEM, "cannot prepare a notification");
	webhook->way = way;
	webhook->request.loop = way->notify->options.loop;
	webhook->request.judge = on_answer;
	webhook->request.fail = on_failure;
	result = http_url_parse(options.url, &server, err);
	if (result < 0)
		return result;
	snprintf(way->name, sizeof(way->name), "webhook %.*s", (int)sizeof(way->name) - 10,
		 endpoint_format_host(&server, host));
	return http_request_open_alone(&webhook->request, &options, err);
}

static void webhook_send(struct notify_way *way, const char *body)
{
	struct webhook *webhook = way->state;
	struct error err = ERROR_INIT;

	http_request_body(&webhook->request, body);
	if (http_request_start(&webhook->request, &err) < 0)
		notify_sent(way, err.text);
}

static void webhook_cancel(struct notify_way *way)
{
	http_request_cancel(&((struct webhook *)way->state)->request);
}

static void webhook_close(struct notify_way *way)
{
	struct webhook *webhook = way->state;

	if (webhook)
		http_request_close(&webhook->request);
	free(webhook);
}

const struct notify_way_ops notify_webhook = {
	.open = webhook_open,
	.send = webhook_send,
	.cancel = webhook_cancel,
	.close = webhook_close,
};
