/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a request meets: from the parameters alone, in round trips, which is how applications feel a
 * network. Parameters that are not there are not talked of. */
#include "faults/network.h"
#include "faults/network_measured.h"

#include "injector/base/prose.h"
#include "injector/base/quantity.h"

#include <stdio.h>
#include <string.h>

#define REQUEST_PACKETS 10 /* of a small request and its answer */

static int64_t number_of(const struct params *params, const char *name)
{
	int index = params_find(params->table, name);

	return index < 0 ? 0 : params_number(params, (unsigned)index, 0);
}

static bool has(const struct params *params, const char *name)
{
	int index = params_find(params->table, name);

	return index >= 0 && params_is_set(params, (unsigned)index);
}

static const char *text_of(const struct params *params, const char *name)
{
	return params_text(params, (unsigned)params_find(params->table, name));
}

static bool is_both(const struct params *params)
{
	int direction = params_find(params->table, "direction");
	const char *way = direction < 0 ? NULL : params_text(params, (unsigned)direction);

	return way && strcmp(way, "both") == 0;
}

static void say_delay(struct prose *prose, const struct params *params, int64_t delay_ns)
{
	int64_t trip_ns = is_both(params) ? 2 * delay_ns : delay_ns;
	int64_t jitter_ns = number_of(params, "jitter");
	char once[QUANTITY_TEXT_SIZE], twice[QUANTITY_TEXT_SIZE], thrice[QUANTITY_TEXT_SIZE];

	prose_say(
		prose,
		"Every round trip takes %s longer. A request on a connection that is open already "
		"makes "
		"one; on a new connection two round trips meet %s each, %s in all; with TLS three, "
		"%s. ",
		quantity_format_duration(trip_ns, once), once,
		quantity_format_duration(2 * trip_ns, twice),
		quantity_format_duration(3 * trip_ns, thrice));
	if (jitter_ns)
		prose_say(prose, "It varies by %s %s%s, and packets overtake each other. ",
			  quantity_format_duration(jitter_ns, once),
			  has(params, "distribution") && number_of(params, "distribution")
				  ? "as a standard deviation"
				  : "up and down",
			  jitter_ns > delay_ns ? ", but never below nothing" : "");
	prose_say(prose,
		  "Time-outs shorter than that fire, and what they make retry doubles the load. ");
}

/* What was measured as round trips meets each packet, one way. */
static void say_measured(struct prose *prose, const struct params *params)
{
	char words[200];

	if (!*network_measured_span(params, words, sizeof(words)))
		return;
	prose_say(
		prose,
		"Every round trip takes as much longer as one of those that were measured%s: %s. ",
		is_both(params) ? ", each way, so that it meets two of them" : "", words);
	if (*network_measured_lost(params, words, sizeof(words)))
		prose_say(prose, "%s. ", words);
}

static void say_loss(struct prose *prose, int64_t loss_ppb)
{
	double loss = (double)loss_ppb / SHARE_ONE;
	char share[QUANTITY_TEXT_SIZE];
	double through = 1;

	for (unsigned i = 0; i < REQUEST_PACKETS; i++)
		through *= 1 - loss;
	if (loss_ppb >= SHARE_ONE) {
		prose_say(prose,
			  "Nothing gets through and nothing is refused: connections hang until "
			  "somebody's time-out fires, and who has none hangs until the end. ");
		return;
	}
	prose_say(
		prose,
		"%s of the packets are lost. Of requests with about %d packets, %.*f%% meet a loss "
		"and "
		"wait for it to be sent again, 200ms or more; a lost attempt to connect costs 1s. ",
		quantity_format_share(loss_ppb, share), REQUEST_PACKETS, loss < 0.001 ? 1 : 0,
		100 * (1 - through));
}

static void say_counted_loss(struct prose *prose, int64_t every)
{
	prose_say(prose, "Of every %lld packets exactly one is lost, by counting. ",
		  (long long)every);
	if (every > REQUEST_PACKETS)
		prose_say(prose, "Of requests with about %d packets, one in %.3g meets a loss",
			  REQUEST_PACKETS, (double)every / REQUEST_PACKETS);
	else
		prose_say(prose, "Each request with about %d packets meets a loss",
			  REQUEST_PACKETS);
	prose_say(prose, " and waits for it to be sent again, 200ms or more. ");
}

static double share_of(const struct params *params, const char *name, double otherwise)
{
	return has(params, name) ? (double)number_of(params, name) / SHARE_ONE : otherwise;
}

static void say_mean_loss(struct prose *prose, double loss)
{
	prose_say(prose,
		  "; that is about %.2g%% of all packets, and what it hits waits for each "
		  "to be sent again, 200ms or more. ",
		  100 * loss);
}

/* Two states, see loss_gilb_ell() in net/sched/sch_netem.c. */
static void say_gemodel(struct prose *prose, const struct params *params)
{
	const double p = share_of(params, "gemodel-p", 0);
	const double r = share_of(params, "gemodel-r", 1 - p);
	const double bad = share_of(params, "gemodel-1-h", 1);
	const double good = share_of(params, "gemodel-1-k", 0);

	prose_say(prose, "Losses come in bursts: one packet in %.3g begins bad times", 1 / p);
	if (r > 0)
		prose_say(prose, ", which last %.3g packet%s on average", 1 / r, r < 1 ? "s" : "");
	else
		prose_say(prose, ", which never end");
	prose_say(prose, " and lose %.3g%% of them", 100 * bad);
	if (good > 0)
		prose_say(prose, "; in good times %.3g%% are lost", 100 * good);
	say_mean_loss(prose, (p * bad + r * good) / (p + r));
}

/* Four of them: received, lost or received in a burst, lost alone; loss_4state() there. */
static void say_state(struct prose *prose, const struct params *params)
{
	const double p13 = share_of(params, "state-p13", 0), p14 = share_of(params, "state-p14", 0);
	const double p31 = share_of(params, "state-p31", 1 - p13);
	const double p32 = share_of(params, "state-p32", 0), p23 = share_of(params, "state-p23", 1);
	const double burst = p31 > 0 ? p13 / p31 : 0; /* for each packet outside of one */
	const double between = p32 > 0 && p23 > 0 ? burst * p32 / p23 : 0;

	prose_say(prose, "Losses come in bursts: one packet in %.3g begins one", 1 / p13);
	if (p31 > 0)
		prose_say(prose, ", in which %.3g %s lost on average", 1 / p31,
			  p31 < 1 ? "packets are" : "packet is");
	else
		prose_say(prose, ", which never ends");
	if (between > 0)
		prose_say(prose, " and %.3g come through between them", between / p13);
	if (p14 > 0)
		prose_say(prose, "; outside of them %.3g%% are lost, each alone", 100 * p14);
	if (p31 > 0 && (p32 == 0 || p23 > 0))
		say_mean_loss(prose, (burst + p14) / (1 + p14 + burst + between));
	else
		prose_say(prose, ". ");
}

/* Each by itself, and what becomes of it at the other end. */
static void say_damage(struct prose *prose, const struct params *params)
{
	const int64_t doubled = number_of(params, "duplicate"),
		      spoilt = number_of(params, "corrupt"), early = number_of(params, "reorder"),
		      gap = number_of(params, "reorder-gap");
	char share[QUANTITY_TEXT_SIZE];

	if (doubled > 0)
		prose_say(prose,
			  "%s of the packets arrive twice: TCP throws the copy away, who takes "
			  "datagrams gets them twice. ",
			  quantity_format_share(doubled, share));
	if (spoilt > 0)
		prose_say(prose,
			  "In %s of the packets one bit is wrong: a checksum finds it, and the "
			  "packet is as good as lost; what has no checksum arrives damaged. ",
			  quantity_format_share(spoilt, share));
	if (early <= 0)
		return;
	prose_say(prose, "%s of the packets are not held back and overtake those that are",
		  quantity_format_share(early, share));
	if (gap > 1)
		prose_say(prose, ", at most one in %lld", (long long)gap);
	prose_say(prose, ": TCP takes what is late for lost and sends it again, who takes "
			 "datagrams gets them in another order. ");
}

/* What the kernel makes of it for connect(): tcp_v4_err(), tcp_v6_err(), icmp_err_convert[]. */
static void say_refusal(struct prose *prose, const struct params *params, int64_t partition)
{
	static const char *const errors[] = {
		[REFUSAL_PORT] = "\"connection refused\"",
		[REFUSAL_HOST] = "\"no route to host\"",
		[REFUSAL_NETWORK] = "\"network is unreachable\"",
		[REFUSAL_ADMIN] = "\"no route to host\" (over IPv6 \"permission denied\")"};

	if (has(params, "after-bytes")) { /* those that are open already */
		prose_say(
			prose, "%s",
			partition == NETWORK_RESET
				? "It ends with \"connection reset\" for whoever sends more. "
				: "It gets no answer any more and hangs until somebody's time-out "
				  "fires. ");
		return;
	}
	if (partition == NETWORK_RESET) {
		prose_say(prose,
			  "New connections fail at once with \"connection refused\", and open ones "
			  "with \"connection reset\" as soon as they send something. ");
		return;
	}
	prose_say(prose,
		  "New connections fail at once with %s; open ones get no answer and hang until "
		  "somebody's time-out fires. ",
		  errors[number_of(params, "reject-with")]);
}

/* "1.2 MB" */
static const char *amount(double bytes, char out[24])
{
	if (bytes >= 1e6)
		snprintf(out, 24, "%.1f MB", bytes / 1e6);
	else
		snprintf(out, 24, "%.1f kB", bytes / 1e3);
	return out;
}

static void say_rate(struct prose *prose, const struct params *params, int64_t rate)
{
	const int64_t burst = number_of(params, "burst"), peak = number_of(params, "peak-rate");
	char text[24];

	prose_say(prose, "No more than %s a second pass%s, all connections together",
		  amount((double)rate / 8, text), is_both(params) ? " each way" : "");
	if (!burst) {
		prose_say(prose, ": an answer of 1 MB takes %.1fs at least. ", 8e6 / (double)rate);
		return;
	}
	prose_say(prose, "; after a pause the first %s pass ", amount((double)burst, text));
	if (peak)
		prose_say(prose, "faster, %s a second. ", amount((double)peak / 8, text));
	else
		prose_say(prose, "at once. ");
}

static void say_slot(struct prose *prose, const struct params *params, int64_t slot_ns)
{
	int64_t most_ns = number_of(params, "slot-max"),
		jitter_ns = number_of(params, "slot-jitter");
	char least[QUANTITY_TEXT_SIZE], most[QUANTITY_TEXT_SIZE];

	prose_say(prose, "Packets are collected and leave together, %s",
		  quantity_format_duration(slot_ns, least));
	if (most_ns > slot_ns)
		prose_say(prose, " to %s", quantity_format_duration(most_ns, most));
	prose_say(prose, " apart");
	if (jitter_ns)
		prose_say(prose, ", give or take %s", quantity_format_duration(jitter_ns, most));
	prose_say(prose, ": one that comes in between waits for the next time");
	if (has(params, "slot-packets"))
		prose_say(prose, ", and so does what is more than %s packets",
			  text_of(params, "slot-packets"));
	if (has(params, "slot-bytes"))
		prose_say(prose, ", and so does what is more than %s",
			  text_of(params, "slot-bytes"));
	prose_say(prose, ". ");
}

void network_explain(const struct params *params, char *out, size_t size)
{
	struct prose prose;
	int64_t delay_ns = number_of(params, "delay"), loss_ppb = number_of(params, "loss");
	int64_t slot_ns = number_of(params, "slot");
	int64_t rate = number_of(params, "rate"), partition = number_of(params, "partition");
	bool is_cut = has(params, "partition");

	prose_begin(&prose, out, size);
	if (has(params, "after-bytes"))
		prose_say(&prose,
			  "A connection notices nothing until %s of its packets have passed. ",
			  text_of(params, "after-bytes"));
	if (has(params, "payload"))
		prose_say(
			&prose,
			"Only packets are met in which a certain text stands, others pass as they "
			"are; so does everything in TLS. ");
	if (delay_ns && !is_cut)
		say_delay(&prose, params, delay_ns);
	if (params->table == network_params)
		say_measured(&prose, params);
	if (is_cut && partition != NETWORK_DROP)
		say_refusal(&prose, params, partition);
	else if (loss_ppb || is_cut)
		say_loss(&prose, is_cut ? SHARE_ONE : loss_ppb);
	if (number_of(params, "gemodel-p") > 0)
		say_gemodel(&prose, params);
	if (number_of(params, "state-p13") > 0)
		say_state(&prose, params);
	if (number_of(params, "loss-every") > 0)
		say_counted_loss(&prose, number_of(params, "loss-every"));
	if (number_of(params, "ecn") > 0)
		prose_say(&prose, "Connections that know ECN are marked instead, and slow down. ");
	say_damage(&prose, params);
	if (number_of(params, "reset-connections"))
		prose_say(&prose,
			  "TCP connections that exist are ended at once: on this side with "
			  "\"software caused connection abort\", on the other with \"connection "
			  "reset\". That cannot be undone. ");
	if (rate > 0)
		say_rate(&prose, params, rate);
	if (has(params, "segment"))
		prose_say(
			&prose,
			"What is sent over TCP leaves in pieces of %s at most, each a packet: who "
			"takes what one read returns for a whole message is found out. ",
			text_of(params, "segment"));
	if (slot_ns > 0)
		say_slot(&prose, params, slot_ns);
	prose_end(&prose);
}
