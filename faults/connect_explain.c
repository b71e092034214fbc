/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What connect() returns, when, and what its caller makes of it.
 */
#include "faults/connect.h"

#include "injector/base/prose.h"
#include "injector/base/quantity.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

static const struct {
	const char *word, *sentence, *real; /* strerror(3); what is different from the real one */
} errors[] = {
	{"ETIMEDOUT", "connection timed out",
	 "A real one takes two minutes, or the client's own time-out. "},
	{"ECONNREFUSED", "connection refused", "It looks like a service that is not running. "},
	{"EHOSTUNREACH", "no route to host", "It looks like a machine that is gone. "},
	{"ENETUNREACH", "network is unreachable", "It looks like a lost route. "},
	{"EPERM", "operation not permitted", "It looks like a local firewall's refusal. "},
};

static void say_share(struct prose *prose, int64_t share_ppb)
{
	double share = (double)share_ppb / SHARE_ONE;
	char text[QUANTITY_TEXT_SIZE];

	prose_say(
		prose,
		"%s of the attempts fail so, each by itself: two in a row fail in %.*f%%, three in "
		"%.*f%%. ",
		quantity_format_share(share_ppb, text), share < 0.2 ? 1 : 0, 100 * share * share,
		share < 0.4 ? 1 : 0, 100 * share * share * share);
}

void connect_explain(const struct params *params, char *out, size_t size)
{
	const char *word = params_text(params, CONNECT_ERROR);
	const char *protocol = params_text(params, CONNECT_PROTOCOL);
	int64_t share_ppb = params_number(params, CONNECT_PROBABILITY, SHARE_ONE);
	struct prose prose;

	prose_begin(&prose, out, size);
	for (size_t i = 0; i < sizeof(errors) / sizeof(*errors); i++)
		if (word && strcmp(word, errors[i].word) == 0)
			prose_say(&prose,
				  "A new connection fails at once: connect() returns %s, \"%s\", "
				  "without a packet sent, also where it does not wait. %s",
				  word, errors[i].sentence, errors[i].real);
	if (share_ppb < SHARE_ONE)
		say_share(&prose, share_ppb);
	if (protocol && strcmp(protocol, "tcp") != 0)
		prose_say(&prose,
			  "The sockets of datagrams are met when they connect(), as those of "
			  "resolvers do; sendto() passes. ");
	prose_say(&prose, "Requests on connections that are open go on, and pools that keep them "
			  "hide it. Clients that try again without a pause do so very fast. ");
	prose_end(&prose);
}
