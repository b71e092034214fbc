/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The multi socket interface of libcurl: it says which descriptors and which timer it wants
 * watched, the loop calls back, nothing blocks. Its callbacks must not call into libcurl again, so
 * finished transfers are collected after each call, never inside one.
 */
#include "injector/probes/web.h"

#include "injector/base/clock.h"

#include "injector/probes/probe.h"
#include "injector/probes/web_sockets.h"

#include <ctype.h>
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>

/* Debian's two flavours; elsewhere only the second name exists. */
static const char *const libraries[] = {"libcurl-gnutls.so.4", "libcurl.so.4"};

static struct {
	struct web functions;
	void *library; /* never unloaded: TLS libraries do not survive that */
	CURLM *multi;
	struct loop *loop;
	struct loop_timer timer;
	bool is_due; /* libcurl wants to be called at once */
	unsigned users;
} shared;

/* Each transfer takes some 30 KiB and gives them back. The heap, if it went to the kernel and came
 * back each time, would be page faults, which cost more than the rest of the attempt. */
#define HEAP_KEPT (1024 * 1024)

static int load(struct error *err)
{
	const char *missing = NULL;

	for (unsigned i = 0; i < sizeof(libraries) / sizeof(*libraries) && !shared.library; i++)
		shared.library = dlopen(libraries[i], RTLD_NOW | RTLD_LOCAL);
	if (!shared.library) {
		error_set(err, ELIBACC, "HTTP needs libcurl: %s", dlerror());
		return error_remedy(err, "apt install libcurl3-gnutls");
	}
#define LOAD(name)                                                                                 \
	*(void **)&shared.functions.name = dlsym(shared.library, "curl_" #name);                   \
	if (!shared.functions.name)                                                                \
		missing = "curl_" #name;
	WEB_FUNCTIONS(LOAD)
#undef LOAD
	if (missing)
		return error_set(err, ELIBBAD, "libcurl is too old: it has no %s", missing);
	mallopt(M_TRIM_THRESHOLD, HEAP_KEPT);
	return 0;
}

static void collect_finished(void)
{
	int left;
	CURLMsg *message;

	while (shared.multi && (message = shared.functions.multi_info_read(shared.multi, &left))) {
		CURLcode code = message->data.result;
		struct web_transfer *transfer = NULL;

		if (message->msg != CURLMSG_DONE)
			continue;
		shared.functions.easy_getinfo(message->easy_handle, CURLINFO_PRIVATE,
					      (char **)&transfer);
		if (!transfer)
			continue;
		web_cancel(transfer);
		transfer->fn(transfer->context, code);
	}
}

static void act(curl_socket_t fd, int events)
{
	int running;

	shared.functions.multi_socket_action(shared.multi, fd, events, &running);
	collect_finished();
	web_sockets_settle();
}

static void on_timer(void *context)
{
	(void)context;
	act(CURL_SOCKET_TIMEOUT, 0);
}

static int want_descriptor(CURL *easy, curl_socket_t fd, int what, void *user, void *assigned)
{
	(void)easy;
	(void)user;
	(void)assigned;
	return web_sockets_want(fd, what);
}

static int want_timer(CURLM *multi, long timeout_ms, void *user)
{
	(void)multi;
	(void)user;
	shared.is_due = timeout_ms == 0;
	if (timeout_ms < 0) {
		loop_timer_cancel(shared.loop, &shared.timer);
		return 0;
	}
	return loop_timer_set(shared.loop, &shared.timer,
			      clock_now_ns() + timeout_ms * NSEC_PER_MSEC, on_timer, NULL) < 0
		       ? -1
		       : 0;
}

int web_open(struct loop *loop, const struct web **out, struct error *err)
{
	int result;

	if (shared.users && shared.loop != loop)
		return error_set(err, EBUSY, "libcurl is in use on another loop");
	if (shared.users == 0) {
		result = shared.functions.multi_cleanup ? 0 : load(err);
		if (result < 0)
			return result;
		if (shared.functions.global_init(CURL_GLOBAL_ALL) != CURLE_OK)
			return error_set(err, EIO, "libcurl cannot be initialized");
		shared.multi = shared.functions.multi_init();
		if (!shared.multi) {
			shared.functions.global_cleanup();
			return error_errno(err, ENOMEM, "libcurl cannot be initialized");
		}
		shared.loop = loop;
		web_sockets_open(loop, act);
		shared.functions.multi_setopt(shared.multi, CURLMOPT_SOCKETFUNCTION,
					      want_descriptor);
		shared.functions.multi_setopt(shared.multi, CURLMOPT_TIMERFUNCTION, want_timer);
		/* probes must not meet on one connection */
		shared.functions.multi_setopt(shared.multi, CURLMOPT_PIPELINING,
					      (long)CURLPIPE_NOTHING);
	}
	shared.users++;
	*out = &shared.functions;
	return 0;
}

void web_close(void)
{
	if (shared.users == 0 || --shared.users > 0)
		return;
	shared.functions.multi_cleanup(shared.multi);
	shared.multi = NULL;
	web_sockets_close();
	loop_timer_cancel(shared.loop, &shared.timer);
	shared.functions.global_cleanup();
}

int web_start(struct web_transfer *transfer, CURL *easy, web_done_fn fn, void *context,
	      struct error *err)
{
	CURLMcode code;

	*transfer = (struct web_transfer){.easy = easy, .fn = fn, .context = context};
	shared.functions.easy_setopt(easy, CURLOPT_PRIVATE, (void *)transfer);
	shared.functions.easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, web_sockets_close_one);
	code = shared.functions.multi_add_handle(shared.multi, easy);
	if (code != CURLM_OK)
		return error_set(err, EIO, "libcurl: %s", shared.functions.multi_strerror(code));
	transfer->is_running = true;
	/* Not by a timer of no time: that is a turn of the loop more for each attempt. */
	if (shared.is_due)
		act(CURL_SOCKET_TIMEOUT, 0);
	return 0;
}

void web_cancel(struct web_transfer *transfer)
{
	if (!transfer->is_running)
		return;
	transfer->is_running = false;
	shared.functions.multi_remove_handle(shared.multi, transfer->easy);
	web_sockets_settle();
}

bool web_explain(CURL *easy, CURLcode code, const char *trouble, char *out, size_t size)
{
	long system_code = 0;

	shared.functions.easy_getinfo(easy, CURLINFO_OS_ERRNO, &system_code);
	if (!trouble[0])
		trouble = shared.functions.easy_strerror(code);
	switch (code) {
	case CURLE_COULDNT_CONNECT:
		snprintf(out, size, "%s", system_code ? strerror((int)system_code) : trouble);
		out[0] = (char)tolower((unsigned char)out[0]);
		return probe_errno_is_local((int)system_code);
	case CURLE_GOT_NOTHING:
		snprintf(out, size, "the connection was closed without an answer");
		return false;
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CIPHER:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_SSL_INVALIDCERTSTATUS:
		snprintf(out, size, "TLS: %s", trouble);
		return false;
	default:
		snprintf(out, size, "%s", trouble);
		return code == CURLE_OUT_OF_MEMORY || code == CURLE_FAILED_INIT ||
		       code == CURLE_URL_MALFORMAT || code == CURLE_BAD_FUNCTION_ARGUMENT ||
		       code == CURLE_ABORTED_BY_CALLBACK || code == CURLE_SSL_CACERT_BADFILE ||
		       code == CURLE_COULDNT_RESOLVE_HOST;
	}
}
