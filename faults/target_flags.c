/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Traffic targets: which packets of a TCP stream, by the flags in their headers.
 */
#include "faults/target.h"

#include "injector/base/prose.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#define FLAGS 8

/* The words stand in the order of the bits, the lowest one first, and again with a "!". */
struct target_flags target_tcp_flags(const struct params *params)
{
	struct target_flags flags = {0};
	uint8_t unwanted = 0;

	for (unsigned i = 0; i < params_count(params, TRAFFIC_TCP_FLAGS); i++) {
		int64_t word = params_value(params, TRAFFIC_TCP_FLAGS, i)->number;

		if (word < FLAGS)
			flags.wanted |= (uint8_t)(1U << word);
		else
			unwanted |= (uint8_t)(1U << (word - FLAGS));
	}
	flags.is_exact = unwanted;
	flags.mask = flags.wanted | unwanted;
	return flags;
}

void target_tcp_flags_say(const struct params *params, char *out, size_t size)
{
	const unsigned count = params_count(params, TRAFFIC_TCP_FLAGS);
	const char *last = target_tcp_flags(params).is_exact ? " and " : " or ";
	struct prose prose;

	prose_begin(&prose, out, size);
	for (unsigned i = 0; i < count; i++) {
		const char *word = params_value(params, TRAFFIC_TCP_FLAGS, i)->text;

		prose_say(&prose, "%s%s%s",
			  !i		  ? ""
			  : i + 1 < count ? ", "
					  : last,
			  word[0] == '!' ? "not " : "", word[0] == '!' ? word + 1 : word);
	}
}

enum { FIN = 1, SYN = 2, RST = 4, ACK = 16 };

bool target_explain_tcp_flags(const struct params *params, char *out, size_t size)
{
	static const struct {
		uint8_t flag;
		const char *when;
	} moments[] = {{SYN, "is set up (syn, also in the answer)"},
		       {FIN, "is closed (fin, with data that leave together with it)"},
		       {RST, "is broken off (rst)"}};
	const struct target_flags match = target_tcp_flags(params);
	const uint8_t flags = match.mask;
	const char *separator = "A connection meets it only when it ";
	struct prose prose;
	char said[120];

	prose_begin(&prose, out, size);
	if (match.is_exact && match.wanted == SYN && match.mask == (SYN | ACK)) {
		prose_say(&prose,
			  "A connection meets it only when it begins (syn without ack: the "
			  "first packet of who connects); what else it carries is as before.");
		return true;
	}
	if (match.is_exact || flags & ~(FIN | SYN | RST)) {
		target_tcp_flags_say(params, said, sizeof(said));
		prose_say(&prose, "Only TCP packets with %s are met. ", said);
		return false;
	}
	for (unsigned i = 0; i < sizeof(moments) / sizeof(*moments); i++)
		if (flags & moments[i].flag) {
			prose_say(&prose, "%s%s", separator, moments[i].when);
			separator = " or ";
		}
	if (flags)
		prose_say(&prose, "; what else it carries is as before.");
	return flags;
}

static const char *flag_name(const struct param_value *value)
{
	return value->text[0] == '!' ? value->text + 1 : value->text;
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
	for (unsigned i = 0; i < params_count(params, TRAFFIC_TCP_FLAGS); i++) {
		const struct param_value *value = params_value(params, TRAFFIC_TCP_FLAGS, i);

		for (unsigned k = 0; k < i; k++)
			if (params_value(params, TRAFFIC_TCP_FLAGS, k)->number % FLAGS ==
				    value->number % FLAGS &&
			    params_value(params, TRAFFIC_TCP_FLAGS, k)->number != value->number)
				return error_set(err, EINVAL,
						 "tcp-flags: no packet has %s, and has it not",
						 flag_name(value));
	}
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
