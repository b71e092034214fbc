/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The URLs that the probe `http` takes: http or https, one host, no user information. Checked here
 * and not by libcurl, which `squall check` does not load.
 */
#ifndef SQUALL_HTTP_URL_H
#define SQUALL_HTTP_URL_H

#include "injector/base/endpoint.h"
#include "injector/base/error.h"

#define HTTP_URL_MAX 2000

/* `out_server`: host and port (80 or 443 when the URL has none). */
int http_url_parse(const char *url, struct endpoint_host *out_server, struct error *err);

#endif
