/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One connection through the responder of the http fault without its sockets: what comes on either
 * lane, and what goes on in pieces of any size. To be included by one test program each.
 */
#ifndef SQUALL_TESTS_HTTP_EXCHANGE_BENCH_H
#define SQUALL_TESTS_HTTP_EXCHANGE_BENCH_H

#include "faults/http.h"
#include "faults/http_stream.h"
#include "injector/base/quantity.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ALL_MAX (400 << 10)

struct bench {
	struct params params;
	struct http_policy policy;
	struct http_relay relay;
	struct http_stream stream;
	char sent[2][ALL_MAX]; /* to the server, to the client */
	size_t sent_size[2];
};

static inline struct bench *bench_new(const char *const *settings)
{
	struct bench *bench = calloc(1, sizeof(*bench));
	struct error err = ERROR_INIT;

	assert_non_null(bench);
	assert_int_equal(params_init(&bench->params, http_params, NULL), 0);
	for (; *settings; settings += 2)
		assert_int_equal(params_add(&bench->params,
					    (unsigned)params_find(http_params, settings[0]),
					    settings[1], 1, 1, NULL),
				 0);
	if (http_check(&bench->params, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(http_read_policy(&bench->params, &bench->policy, NULL), 0);
	bench->relay.policy = &bench->policy;
	bench->stream.relay = &bench->relay;
	bench->stream.client = bench->stream.server = -1;
	return bench;
}
#define BENCH(...) bench_new((const char *[]){__VA_ARGS__, NULL})

static inline void bench_free(struct bench *bench)
{
	params_free(&bench->params);
	free(bench);
}

static inline void come(struct http_lane *lane, const char *text)
{
	size_t size = strlen(text);

	assert_true(lane->used + size <= HTTP_LANE_SIZE);
	memcpy(lane->bytes + lane->used, text, size);
	lane->used += size;
}

/* As a socket would take them, `size` bytes at the most. */
static inline void go(struct bench *bench, bool to_client, size_t size)
{
	struct http_lane *lane = to_client ? &bench->stream.to_client : &bench->stream.to_server;
	size_t *sent = &bench->sent_size[to_client];

	assert_true(lane->start <= lane->clear && lane->clear <= lane->used &&
		    lane->used <= sizeof(lane->bytes));
	if (size > lane->clear - lane->start)
		size = lane->clear - lane->start;
	assert_true(*sent + size <= ALL_MAX);
	memcpy(bench->sent[to_client] + *sent, lane->bytes + lane->start, size);
	*sent += size;
	lane->start += size;
}

#endif
