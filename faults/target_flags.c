/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Traffic targets: which packets of a TCP stream, by the flags in their headers.
 */
#include "faults/target.h"

#include "injector/base/prose.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

/* The words stand in the order of the bits, the lowest one first. */
uint8_t target_tcp_flags(const struct params *params)
{
	uint8_t flags = 0;

	for (unsigned i = 0; i < params_count(params, TRAFFIC_TCP_FLAGS); i++)
		flags |= (uint8_t)(1U << params_value(params, TRAFFIC_TCP_FLAGS, i)->number);
	return flags;
}

enum { FIN = 1, SYN = 2, RST = 4 };

bool target_explain_tcp_flags(const struct params *params, char *out, size_t size)
{
	static const struct {
		uint8_t flag;
		const char *when;
	} moments[] = {{SYN, "is set up (syn, also in the answer)"},
		       {FIN, "is closed (fin, with data that leave together with it)"},
		       {RST, "is broken off (rst)"}};
	const uint8_t flags = target_tcp_flags(params);
	const char *separator = "Only TCP packets with ";
	struct prose prose;

	prose_begin(&prose, out, size);
	if (flags & ~(FIN | SYN | RST)) {
		for (unsigned i = 0; i < params_count(params, TRAFFIC_TCP_FLAGS); i++) {
			prose_say(&prose, "%s%s", separator,
				  params_value(params, TRAFFIC_TCP_FLAGS, i)->text);
			separator = " or ";
		}
		prose_say(&prose, " are met. ");
		return false;
	}
	separator = "A connection meets it only when it ";
	for (unsigned i = 0; i < sizeof(moments) / sizeof(*moments); i++)
		if (flags & moments[i].flag) {
			prose_say(&prose, "%s%s", separator, moments[i].when);
			separator = " or ";
		}
	if (flags)
		prose_say(&prose, "; what else it carries is as before.");
	return flags;
}

int target_check_tcp_flags(const struct params *params, const char *blind, struct error *err)
{
	if (!params_count(params, TRAFFIC_TCP_FLAGS))
		return 0;
	if (blind)
		return error_set(err, EINVAL,
				 "tcp-flags selects single packets, which '%s' does not see: leave "
				 "it out, or use network",
				 blind);
	for (unsigned i = 0; i < params_count(params, TRAFFIC_PROTOCOL); i++) {
		const char *word = params_value(params, TRAFFIC_PROTOCOL, i)->text;

		if (strcmp(word, "tcp") != 0)
			return error_set(err, EINVAL,
					 "tcp-flags selects packets of tcp alone, and protocol "
					 "names %s: leave protocol out",
					 word);
	}
	for (unsigned i = 0; i < params_count(params, TRAFFIC_PROTOCOL_NUMBER); i++) {
		int64_t number = params_value(params, TRAFFIC_PROTOCOL_NUMBER, i)->number;

		if (number != IPPROTO_TCP)
			return error_set(err, EINVAL,
					 "tcp-flags selects packets of tcp (6) alone, and "
					 "protocol-number names %lld: leave it out",
					 (long long)number);
	}
	return 0;
}
