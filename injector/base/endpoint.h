/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Endpoints as people write them: ADDRESS[/PREFIX][:PORT[-PORT]], [V6][:PORT], HOST[:PORT], "*".
 */
#ifndef SQUALL_ENDPOINT_H
#define SQUALL_ENDPOINT_H

#include "injector/base/error.h"

#include <stdbool.h>
#include <stdint.h>

#define ENDPOINT_HOST_MAX 253 /* RFC 1035 */

/* Small: there may be a hundred thousand. */
struct endpoint {
	int family;	     /* AF_INET, AF_INET6; AF_UNSPEC: every address, or a name */
	uint8_t address[16]; /* network order; bits behind the prefix are zero */
	uint8_t prefix;
	bool is_name;			/* still to be resolved; the text has it */
	uint16_t port_first, port_last; /* 0, 0: every port */
};

struct endpoint_host {
	struct endpoint endpoint;
	char name[ENDPOINT_HOST_MAX + 1]; /* "" unless is_name */
};

/* Syntax only: never looks a name up. Host bits behind a prefix are an error (10.0.0.1/24). */
int endpoint_parse(const char *text, struct endpoint *out, struct error *err);
int endpoint_parse_host(const char *text, struct endpoint_host *out, struct error *err);

/* ADDRESS[/PREFIX] alone: no name, no port, no "*". */
int endpoint_parse_network(const char *text, struct endpoint *out, struct error *err);

/* endpoint_range.c: "10.0.0.1-10.0.0.9" and "10.0.0.0/8:80,443" are several: 1, and each of them
 * was told. 0: it is one, or wrong. */
typedef int (*endpoint_part_fn)(void *context, const char *text, struct error *err);
int endpoint_expand(const char *text, endpoint_part_fn each, void *context, struct error *err);

/* "80" or "8000-8010", 1..65535. */
int endpoint_parse_ports(const char *text, uint16_t *out_first, uint16_t *out_last,
			 struct error *err);

/* Canonical text: "10.0.5.0/24:443", "[2001:db8::1]:53", "*". Not of a name. */
#define ENDPOINT_TEXT_SIZE 320
char *endpoint_format(const struct endpoint *endpoint, char *out);
/* Also of a name: "store.internal:443". */
char *endpoint_format_host(const struct endpoint_host *host, char *out);

#endif
