/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The sockets of libcurl on our loop, with one epoll_ctl(2) for each that is connected, asked once,
 * answered and closed, in place of three:
 *
 * - It waits to write, then to read. Such a socket is watched for both from the start, each told
 *   once (EPOLLET), and what was not asked for is held back. Who wants more of what was told
 *   already (a long answer, TLS) needs it told for as long as it lasts: it is watched anew for that
 *   alone, and nothing is lost, because that looks at the socket again.
 * - What is closed leaves the set by that (epoll(7)). libcurl first says that it need not be
 * watched any more and may then close it: this is found out before the loop goes on.
 */
#ifndef SQUALL_WEB_SOCKETS_H
#define SQUALL_WEB_SOCKETS_H

#include "injector/base/loop.h"

#include <curl/curl.h>

/* `events`: CURL_CSELECT_*; never none. */
typedef void (*web_socket_fn)(curl_socket_t fd, int events);

void web_sockets_open(struct loop *loop, web_socket_fn fn);
/* What CURLMOPT_SOCKETFUNCTION is asked for: CURL_POLL_*. 0, or -1 without memory. */
int web_sockets_want(curl_socket_t fd, int what);
/* CURLOPT_CLOSESOCKETFUNCTION of each transfer. */
int web_sockets_close_one(void *unused, curl_socket_t fd);
/* After each call of libcurl that may have let go of a socket. */
void web_sockets_settle(void);
void web_sockets_close(void);

#endif
