/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Strict on purpose: what libcurl would silently repair is more often a mistake in the file.
 */
#include "injector/probes/http_url.h"

#include "injector/probes/probe.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int check_characters(const char *url, struct error *err)
{
	if (strlen(url) > HTTP_URL_MAX)
		return error_set(err, EINVAL, "the URL has %zu characters; at most %d are allowed",
				 strlen(url), HTTP_URL_MAX);
	for (const char *at = url; *at; at++)
		if (*at <= ' ' || *at > '~' || strchr("\"<>\\^`{|}", *at))
			return error_set(err, EINVAL,
					 "'%s': character %zu must be percent-encoded (%%%02X)",
					 url, (size_t)(at - url) + 1, (unsigned char)*at);
	return 0;
}

int http_url_parse(const char *url, struct endpoint_host *out_server, struct error *err)
{
	char authority[ENDPOINT_TEXT_SIZE], with_port[ENDPOINT_TEXT_SIZE + 8];
	const char *host, *port;
	bool is_tls = strncmp(url, "https://", 8) == 0;
	size_t length;
	int result = check_characters(url, err);

	if (result < 0)
		return result;
	if (!is_tls && strncmp(url, "http://", 7) != 0)
		return error_set(err, EINVAL, "'%s' must begin with http:// or https://", url);
	host = url + (is_tls ? 8 : 7);
	length = strcspn(host, "/?#");
	if (length == 0 || length >= sizeof(authority))
		return error_set(err, EINVAL, "'%s' names no host", url);
	memcpy(authority, host, length);
	authority[length] = '\0';
	if (strchr(authority, '@'))
		return error_set(err, EINVAL,
				 "a URL with user information is refused: it ends up in reports; "
				 "write header: \"Authorization: ...\"");
	port = strrchr(authority, ']');
	port = strchr(port ? port : authority, ':');
	snprintf(with_port, sizeof(with_port), "%s%s", authority,
		 port	  ? ""
		 : is_tls ? ":443"
			  : ":80");
	result = probe_parse_host_port(with_port, out_server, err);
	return result < 0 ? error_prefix(err, "'%s'", url) : 0;
}
