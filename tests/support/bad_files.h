/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Bad experiment files and the exact words about them. A case is a piece of a file; what a whole
 * file needs beside it is added, so that each case shows one thing. Include it behind cmocka.h.
 */
#ifndef SQUALL_TESTS_BAD_FILES_H
#define SQUALL_TESTS_BAD_FILES_H

#include <stddef.h>

/* One line each, so that a piece begins in a known line. */
#define HEAD "version: 1\ntitle: t\nlimits: {duration: 1m, targets: 9}\n"
#define TARGETS                                                                                    \
	"targets: {store: {to: 10.0.5.0/24:443}, orders: {process: {unit: orders.service}}}\n"
#define PROBES "probes: {shop: {http: \"http://127.0.0.1/\"}, api: {tcp: \"127.0.0.1:80\"}}\n"
#define METHOD "method: [{at: 0s, for: 5s, network: {target: store, delay: 100ms}}]\n"

#define ON_ROOT(piece)	 piece
#define ON_PROBE(piece)	 HEAD TARGETS METHOD "probes:\n  p: " piece
#define ON_TARGET(piece) HEAD METHOD PROBES "targets:\n  store: {to: 10.0.0.1}\n  t: " piece
#define ON_STEP(piece)	 HEAD TARGETS PROBES "method:\n  - " piece
#define ON_ABORT(piece)	 HEAD TARGETS PROBES METHOD "abort-when:\n  - " piece
#define ON_END(piece)	 HEAD TARGETS PROBES METHOD piece

struct bad {
	const char *text;
	int line, column;
	const char *message; /* exact; with a '*' at its end only the beginning */
};

/* Each is refused with that message at that place, and with no other. */
void bad_files_check(const struct bad *cases, size_t count);

#define TABLE_TEST(name, table)                                                                    \
	static void name(void **state)                                                             \
	{                                                                                          \
		(void)state;                                                                       \
		bad_files_check(table, sizeof(table) / sizeof(*(table)));                          \
	}

#endif
