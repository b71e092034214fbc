/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Whatever a client and a server say on a connection through the http fault, in any pieces, one
 * before the other, and whoever hangs up in the middle: what passes is what was said, byte for
 * byte, but for requests that are answered, and what is changed is so wherever it was cut; what is
 * kept is bounded; when both have hung up nothing is left of it.
 */
/* its lanes are its own business */
#include "faults/http_stream.c" /* NOLINT(bugprone-suspicious-include) */

#include "faults/http.h"
#include "injector/base/quantity.h"

#define FAKE_TIMERS 16
#include "tests/fuzz/fuzz_time.h"

#define SAID_MAX  (24 << 10)
#define HEARD_MAX (2 << 20) /* each message may become longer */
#include "tests/fuzz/fuzz_ends.h"

static struct params params, small_changes, large_changes, chosen_changes;
static struct http_policy policy;
static struct http_relay relay;
static bool has_reset, has_ended;
static size_t had_said, had_heard; /* by the server, before this connection */

bool http_relay_find_server(const struct http_relay *of, int fd, struct sockaddr_storage *out)
{
	(void)of, (void)fd;
	memset(out, 0, sizeof(*out));
	return true;
}

int http_relay_connect(const struct http_relay *of, struct redirect_way *way)
{
	(void)of, (void)way;
	if (server.fd >= 0) { /* asked anew: the first one has answered all that it has heard */
		hear(&server);
		close(server.fd);
		server.fd = -1;
		if (server.heard == had_heard) /* and says for nobody what nobody asked */
			server.said = had_said;
	}
	had_said = server.said;
	had_heard = server.heard;
	return reach_server(SOCK_STREAM);
}

void http_relay_forget(const struct http_relay *of, const struct redirect_way *way)
{
	(void)of, (void)way;
}

int loop_close(struct loop *loop, int fd)
{
	loop_unwatch(loop, fd);
	return close(fd);
}

static void say_some(struct end *end, size_t most)
{
	const uint8_t *bytes;
	size_t there = take_bytes(&bytes, most);

	say(end, bytes, there);
}

static void say_usual(struct end *end, unsigned which)
{
	static const char *const usual[] = {
		"GET /a HTTP/1.1\r\n\r\n",
		"GET /b HTTP/1.1\r\n\r\n",
		"POST /a HTTP/1.1\r\nContent-Length: 3\r\n\r\nxyz",
		"POST /b HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
		"POST /a HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n",
		"HEAD /b HTTP/1.1\r\n\r\n",
		"GET /b HTTP/1.1\r\nUpgrade: x\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
		"HTTP/1.1 100 Continue\r\n\r\n",
		"HTTP/1.1 204 No\r\n\r\n",
		"HTTP/1.1 101 Other\r\n\r\n",
		"HTTP/1.0 200 OK\r\n\r\nuntil the end",
		"xyz",
		"PUT /a HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 7\r\n\r\n"
		"{\"a\":1}",
		"PUT /a HTTP/1.1\r\nContent-Type: a/b+json\r\nTransfer-Encoding: chunked\r\n\r\n"
		"3\r\n{\"b\r\n4\r\n\":1}\r\n0\r\n\r\n",
		"PUT /a HTTP/1.1\r\nContent-Type: application/json\r\nExpect: 100-continue\r\n"
		"Content-Length: 7\r\n\r\n",
		"{\"a\":2}",
		"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 7\r\n\r\n",
		"HTTP/1.1 404 No\r\nContent-Type: a/b+json\r\nTransfer-Encoding: chunked\r\n\r\n"
		"3\r\n{\"b\r\n4\r\n\":1}\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n",
	};
	const char *text = usual[which % (sizeof(usual) / sizeof(*usual))];

	say(end, text, strlen(text));
}

static bool deliver(bool is_client)
{
	struct http_stream *stream = relay.streams;

	return stream && deliver_to(is_client ? stream->client : stream->server);
}

static void hang_up(struct end *end)
{
	if (end->fd >= 0)
		shutdown(end->fd, SHUT_WR);
}

static void act(void)
{
	unsigned action = take_byte();
	struct end *end = action & 0x80 ? &client : &server;

	switch (action % 9) {
	case 0:
	case 1:
		say_usual(end, take_byte());
		break;
	case 2:
		say_some(end, take_byte());
		break;
	case 3:
		deliver(end == &client);
		break;
	case 4:
		hear(end);
		break;
	case 5:
		if (take_byte() < 64) { /* else it is over too soon */
			hang_up(end);
			has_ended = true;
		}
		break;
	case 6:
		fake_timer_fire();
		break;
	case 7:
		if (take_byte() < 32) {
			relay.base.is_soft = true;
			http_stream_soften_all(&relay);
		}
		break;
	case 8:
		fake_now_ns += NSEC_PER_SEC;
		http_stream_sweep(&relay, fake_now_ns);
		break;
	}
}

static void set_up(struct params *out, const char *const (*settings)[2])
{
	require(params_init(out, http_params, NULL) == 0);
	for (; (*settings)[0]; settings++)
		require(params_add(out, (unsigned)params_find(http_params, (*settings)[0]),
				   (*settings)[1], 0, 0, NULL) == 0);
}

static void prepare_all(void)
{
	static char large[2][400];
	static const char *const answer[][2] = {
		{"path", "/a"}, {"answer", "503"}, {"body", "no"}, {NULL}};
	static const char *const small[][2] = {{"path", "/a"},
					       {"set-path", "/cc"},
					       {"set-request-header", "X: y"},
					       {"set-response-header", "Z: z"},
					       {NULL}};
	const char *const larger[][2] = {{"path", "/a"},
					 {"set-method", "PUT"},
					 {"set-request-header", large[0]},
					 {"set-response-header", large[1]},
					 {NULL}};

	static const char *const chosen[][2] = {
		{"path", "/a"}, {"status", "200-299"}, {"set-response-header", "Z: z"}, {NULL}};

	for (unsigned i = 0; i < 2; i++) {
		memset(large[i], 'x', sizeof(large[i]) - 1);
		large[i][1] = ':';
	}
	set_up(&params, answer);
	set_up(&small_changes, small);
	set_up(&large_changes, larger);
	set_up(&chosen_changes, chosen);
}

/* Instead of heads alone. */
static void change_bodies(uint8_t how)
{
	static const char patch[] = "{\"a\":{\"c\":[]},\"b\":null}";
	bool replaces = how & 2, chooses = how & 0x20 && !policy.changes_requests;

	if (chooses)
		require(http_read_policy(&chosen_changes, &policy, NULL) == 0);
	if (policy.changes_requests) {
		policy.new_request_body = replaces ? "ours" : NULL;
		policy.merged_request = replaces ? NULL : patch;
	}
	if (policy.changes_responses) {
		policy.new_body = how & 4 ? "ours" : NULL;
		policy.merged_body = how & 4 ? NULL : patch;
		policy.response_delay_ns = how & 0x40 ? 2 * NSEC_PER_SEC : 0;
		policy.aborts_responses = chooses && how & 2;
	}
}

/* The first byte says what is met, and how. */
static void begin(const uint8_t *data, size_t size)
{
	bool changes = data[0] & 0x18;

	if (!params.table)
		prepare_all();
	fake_time_begin();
	require(http_read_policy(!changes	  ? &params
				 : data[0] & 0x40 ? &large_changes
						  : &small_changes,
				 &policy, NULL) == 0);
	policy.delay_ns = data[0] & 1 ? NSEC_PER_SEC : 0;
	policy.status = !changes && data[0] & 2 ? 503 : 0;
	policy.aborts = !changes && !policy.status && data[0] & 4;
	policy.changes_requests = data[0] & 0x08;
	policy.changes_responses = data[0] & 0x10;
	if (changes && data[0] & 0x80) {
		change_bodies(data[0]);
	} else if (policy.changes_responses) {
		policy.new_body = data[0] & 2 ? "ours" : NULL;
		policy.new_status = data[0] & 4				 ? 404
				    : data[0] & 0x20 && !policy.new_body ? 204
									 : 0;
	}
	memset(&relay, 0, sizeof(relay));
	relay.policy = &policy;
	relay.stream_max = 1;
	is_unreachable = data[0] == 0xff;
	has_ended = false;
	had_said = had_heard = 0;
	input = data + 1;
	input_end = data + size;
}

static bool is_within(const struct end *heard, const struct end *said)
{
	size_t at = 0;

	for (size_t i = 0; i < heard->heard; i++, at++) {
		while (at < said->said && said->said_bytes[at] != heard->heard_bytes[i])
			at++;
		if (at == said->said)
			return false;
	}
	return true;
}

#include "tests/fuzz/fuzz_http_wanted.h"

static void check_wanted(const struct end *end, const struct http_lane *lane)
{
	require(end->heard <= wanted_size);
	require(memcmp(end->heard_bytes, wanted, end->heard) == 0);
	/* else it is somebody's turn to say more */
	require(end->heard == wanted_size || !http_lane_is_empty(lane));
}

/* Where all was understood, before anybody has hung up. */
static void check_changed(void)
{
	if (!(policy.changes_requests || policy.changes_responses) || !relay.streams ||
	    relay.strange || relay.base.is_soft || has_ended)
		return;
	want_requests();
	check_wanted(&server, &relay.streams->to_server);
	if (relay.streams->server < 0 && server.heard == had_heard)
		server.said = had_said; /* the next one is not asked yet, and this one was not */
	want_responses();
	check_wanted(&client, &relay.streams->to_client);
}

static void check_heard(void)
{
	if (policy.changes_requests || policy.changes_responses)
		return;
	require(is_within(&server, &client));
	if (relay.answered)
		return;
	require(server.heard <= client.said && client.heard <= server.said);
	require(memcmp(server.heard_bytes, client.said_bytes, server.heard) == 0);
	require(memcmp(client.heard_bytes, server.said_bytes, client.heard) == 0);
}

static void pump(void)
{
	for (unsigned i = 0; i < 3000; i++) {
		bool moved = deliver(true);

		moved |= deliver(false);
		hear(&client);
		hear(&server);
		if (!moved && !fake_timer_fire())
			return;
	}
	require(!"it comes to rest");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int descriptor = next_descriptor(), arriving;
	struct sockaddr_storage from = {.ss_family = AF_INET};

	if (size < 2)
		return 0;
	begin(data, size);
	arriving = ends_begin();
	http_stream_begin(&relay, arriving, &from);
	for (unsigned i = 0; i < 500 && input < input_end; i++)
		act();
	pump();
	check_changed();
	has_reset = !relay.streams;
	hang_up(&client);
	for (unsigned i = 0; i < 2; i++) { /* it may be asked anew meanwhile */
		hang_up(&server);
		pump();
	}
	check_heard();
	/* whoever has said all has heard all */
	if (relay.streams)
		require(!"the stream is over");
	if (!has_reset && !relay.hits && !relay.base.is_soft)
		require(server.heard == client.said && client.heard == server.said);
	http_stream_close_all(&relay);
	require(relay.stream_count == 0 && !relay.streams && relay.base.awaited == 0);
	require(relay.kept == 0);
	require(fake_timer_count == 0);
	ends_close();
	require(next_descriptor() == descriptor);
	return 0;
}
