/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * libcurl on our loop, loaded when first needed: linked in, its TLS library would cost every
 * command of squall 5 to 10 ms. One multi handle for all transfers of the process. No proxy, no
 * environment, no look-up by libcurl itself (resolver.h says why): who has a host name gives it the
 * addresses.
 */
#ifndef SQUALL_WEB_H
#define SQUALL_WEB_H

#include "injector/base/error.h"
#include "injector/base/loop.h"

#include <curl/curl.h>

/* The functions used, by their names without "curl_". */
#define WEB_FUNCTIONS(F)                                                                           \
	F(global_init)                                                                             \
	F(global_cleanup)                                                                          \
	F(easy_init)                                                                               \
	F(easy_setopt)                                                                             \
	F(easy_getinfo)                                                                            \
	F(easy_cleanup)                                                                            \
	F(easy_strerror)                                                                           \
	F(slist_append)                                                                            \
	F(slist_free_all)                                                                          \
	F(multi_init)                                                                              \
	F(multi_setopt)                                                                            \
	F(multi_add_handle)                                                                        \
	F(multi_remove_handle)                                                                     \
	F(multi_socket_action)                                                                     \
	F(multi_info_read)                                                                         \
	F(multi_strerror)                                                                          \
	F(multi_cleanup)

struct web {
#define WEB_POINTER(name) __typeof__(&curl_##name) name;
	WEB_FUNCTIONS(WEB_POINTER)
#undef WEB_POINTER
};

typedef void (*web_done_fn)(void *context, CURLcode code);

/* One transfer; zeroed means idle. Owned by the caller, who must cancel it before it goes away. */
struct web_transfer {
	CURL *easy;
	web_done_fn fn;
	void *context;
	bool is_running;
};

/* Loads and initializes on the first call, counts after that. -EBUSY: in use on another loop. */
int web_open(struct loop *loop, const struct web **out, struct error *err);
void web_close(void);

/* Starts the transfer of `easy` (CURLOPT_PRIVATE and CURLOPT_CLOSESOCKETFUNCTION are taken); fn is
 * called once from the loop, when it is over and has left the multi handle. */
int web_start(struct web_transfer *transfer, CURL *easy, web_done_fn fn, void *context,
	      struct error *err);
/* Ends it at once; fn is not called. */
void web_cancel(struct web_transfer *transfer);

/* In words: why there is no usable answer. `trouble`: what CURLOPT_ERRORBUFFER got. True: the cause
 * is on this side, the server was not asked. */
bool web_explain(CURL *easy, CURLcode code, const char *trouble, char *out, size_t size);

#endif
