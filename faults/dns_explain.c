/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a lookup meets, in the words that its caller gets from the C library: getaddrinfo(3),
 * resolv.conf(5).
 */
#include "faults/dns.h"

#include "injector/base/clock.h"
#include "injector/base/prose.h"
#include "injector/base/quantity.h"

#define SHOWN_MAX   4		       /* addresses in a sentence */
#define PATIENCE_NS (5 * NSEC_PER_SEC) /* resolv.conf(5): timeout; asked `attempts` times, two */

static const char *between(unsigned index, unsigned count)
{
	return !index ? "" : index + 1 < count ? ", " : " and ";
}

static void say_address(struct prose *prose, const struct params *params)
{
	unsigned count = params_count(params, DNS_ADDRESS);

	prose_say(prose, "A lookup gets ");
	if (count > SHOWN_MAX)
		prose_say(prose, "%u other addresses", count);
	for (unsigned i = 0; count <= SHOWN_MAX && i < count; i++)
		prose_say(prose, "%s%s", between(i, count),
			  params_value(params, DNS_ADDRESS, i)->text);
	prose_say(prose,
		  " instead of the truth, not to be kept (time to live 0): the request connects "
		  "there, and meets who is there or nobody. Questions for other than addresses "
		  "pass. ");
}

static void say_answer(struct prose *prose, const struct params *params,
		       const struct dns_policy *policy)
{
	switch (policy->answer) {
	case DNS_ANSWER_NXDOMAIN:
		prose_say(prose,
			  "A lookup fails with \"Name or service not known\" (NXDOMAIN): the name "
			  "does "
			  "not exist, so nobody asks another server, and no connection is tried. ");
		break;
	case DNS_ANSWER_SERVFAIL:
	case DNS_ANSWER_REFUSED:
		prose_say(prose,
			  "A server that is met answers %s. The resolver asks the next one; when "
			  "each "
			  "of them answers so, the lookup fails with \"Temporary failure in name "
			  "resolution\", and no connection is tried. ",
			  policy->answer == DNS_ANSWER_SERVFAIL ? "SERVFAIL" : "REFUSED");
		break;
	case DNS_ANSWER_EMPTY:
		prose_say(prose,
			  "A lookup fails with \"No address associated with hostname\": the answer "
			  "is "
			  "NOERROR without a record, which looks like success to who counts errors "
			  "alone. No connection is tried. ");
		break;
	case DNS_ANSWER_ADDRESS:
		say_address(prose, params);
		break;
	case DNS_ANSWER_RANDOM:
		prose_say(prose,
			  "A lookup gets another address each time, of networks that nobody has "
			  "(198.18.0.0/15, 2001:db8::/32), not to be kept (time to live 0): the "
			  "request hangs until somebody's time-out fires, or fails where there is "
			  "no route. Questions for other than addresses pass. ");
		break;
	case DNS_ANSWER_DROP:
		prose_say(prose,
			  "A lookup gets no answer. The C library waits 5s for each server, goes "
			  "through its list twice, and fails with \"Temporary failure in name "
			  "resolution\": 10s with one server, 20s with two. ");
		break;
	case DNS_ANSWER_NONE: /* only later: say_delay() */
		break;
	}
}

static void say_delay(struct prose *prose, const struct dns_policy *policy)
{
	char late[QUANTITY_TEXT_SIZE];

	prose_say(prose, "%s comes %s late",
		  policy->answer == DNS_ANSWER_NONE ? "A lookup gets the true answer, which"
						    : "This answer",
		  quantity_format_duration(policy->delay_ns, late));
	if (policy->delay_ns < PATIENCE_NS)
		prose_say(
			prose,
			". Both address families are asked for at the same time, so a new "
			"connection by name meets %s once, before its first packet; a request on a "
			"connection that is open already meets nothing. ",
			late);
	else if (policy->delay_ns < 2 * PATIENCE_NS)
		prose_say(
			prose,
			": the C library asks again after 5s, and with one server takes it all the "
			"same; other resolvers have given up by then. ");
	else
		prose_say(
			prose,
			": the C library waits 5s for each server and goes through its list twice; "
			"where all its servers are that late a lookup fails with \"Temporary "
			"failure in name resolution\", with one server after 10s. ");
}

/* An answer for A or for AAAA is chosen by itself. */
static void say_share(struct prose *prose, const struct params *params,
		      const struct dns_policy *policy)
{
	double share = (double)policy->share_ppb / SHARE_ONE;
	char text[QUANTITY_TEXT_SIZE];

	prose_say(prose, "%s of the queries meet this",
		  quantity_format_share(policy->share_ppb, text));
	if (!params_is_set(params, DNS_TYPE))
		prose_say(prose,
			  ": a lookup of both address families makes two, and in %.*f%% of the "
			  "lookups at least one is met",
			  share < 0.01 ? 1 : 0, 100 * (1 - (1 - share) * (1 - share)));
	prose_say(prose, ". ");
}

static void say_types(struct prose *prose, const struct params *params)
{
	unsigned count = params_count(params, DNS_TYPE);

	if (!params_is_set(params, DNS_TYPE))
		return;
	prose_say(prose, "Only questions of type ");
	for (unsigned i = 0; i < count; i++)
		prose_say(prose, "%s%s", between(i, count),
			  params_value(params, DNS_TYPE, i)->text);
	prose_say(prose, " are met: who gets another answer as well, as with two address families, "
			 "goes on with that. ");
}

void dns_explain(const struct params *params, char *out, size_t size)
{
	struct dns_policy policy = {0};
	struct error ignored = ERROR_INIT;
	struct prose prose;

	prose_begin(&prose, out, size);
	if (dns_read_policy(params, &policy, &ignored) < 0)
		return;
	say_answer(&prose, params, &policy);
	if (policy.delay_ns)
		say_delay(&prose, &policy);
	if (policy.share_ppb < SHARE_ONE)
		say_share(&prose, params, &policy);
	say_types(&prose, params);
	prose_say(&prose,
		  "Connections that are open stay, and who remembers an address (a cache, a "
		  "pool) goes on with it. ");
	prose_end(&prose);
}
