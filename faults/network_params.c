/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The parameters of the network fault, in netem's terms, and which of them make sense together.
 */
#include "faults/network.h"

#include "injector/base/clock.h"
#include "injector/base/quantity.h"

#include <errno.h>

static const char *const directions[] = {
	[NETWORK_EGRESS] = "egress", [NETWORK_INGRESS] = "ingress", [NETWORK_BOTH] = "both", NULL};
static const char *const distributions[] = {[NETWORK_UNIFORM] = "uniform",
					    [NETWORK_NORMAL] = "normal",
					    [NETWORK_PARETO] = "pareto",
					    [NETWORK_PARETONORMAL] = "paretonormal",
					    NULL};

static const char *const partitions[] = {
	[NETWORK_DROP] = "drop", [NETWORK_REJECT] = "reject", [NETWORK_RESET] = "reset", NULL};
static const char *const reasons[] = {[REFUSAL_PORT] = "port-unreachable",
				      [REFUSAL_HOST] = "host-unreachable",
				      [REFUSAL_NETWORK] = "net-unreachable",
				      [REFUSAL_ADMIN] = "admin-prohibited",
				      NULL};

#define DURATION(key, most, text)                                                                  \
	{                                                                                          \
		.name = key, .type = PARAM_DURATION, .max = (most), .doc = text                    \
	}
#define SHARE(key, text)                                                                           \
	{                                                                                          \
		.name = key, .type = PARAM_SHARE, .max = SHARE_ONE, .doc = text                    \
	}
/* What a ramp may be written in. */
#define STRENGTH(key, kind, most, text)                                                            \
	{                                                                                          \
		.name = key, .type = kind, .flags = PARAM_RAMPED, .max = (most), .doc = text       \
	}
#define INTEGER(key, least, most, text)                                                            \
	{                                                                                          \
		.name = key, .type = PARAM_INTEGER, .min = (least), .max = (most), .doc = text     \
	}

const struct param network_params[] = {
	[NETWORK_TARGET] = {.name = "target",
			    .type = PARAM_TARGET,
			    .flags = PARAM_REQUIRED,
			    .doc = "the traffic to affect"},
	[NETWORK_DELAY] = STRENGTH("delay", PARAM_DURATION, 3600 * NSEC_PER_SEC,
				   "time each packet is held back, one way"),
	[NETWORK_JITTER] = DURATION("jitter", 3600 * NSEC_PER_SEC,
				    "the delay varies by as much; reorders packets"),
	[NETWORK_DELAY_CORRELATION] = SHARE(
		"delay-correlation", "how much the jitter of a packet is like the last one's"),
	[NETWORK_DISTRIBUTION] = {.name = "distribution",
				  .type = PARAM_WORD,
				  .words = distributions,
				  .fallback = "uniform",
				  .doc = "shape of the jitter: even up and down, or with it as "
					 "standard deviation"},
	[NETWORK_DISTRIBUTION_FILE] =
		{.name = "distribution-file",
		 .type = PARAM_TEXT,
		 .doc = "measured round trips to replay in place of delay and jitter: output of "
			"ping, values one a line, or CSV"},
	[NETWORK_DISTRIBUTION_SAMPLES] = {.name = "distribution-samples",
					  .type = PARAM_DURATION,
					  .flags = PARAM_LIST,
					  .max = 3600 * NSEC_PER_SEC,
					  .doc = "the same, written out"},
	[NETWORK_DISTRIBUTION_LOST] =
		SHARE("distribution-lost",
		      "so many were lost when they were measured, as a file itself tells: plan "
		      "says so, nothing is lost for it"),
	[NETWORK_PARTITION] =
		{.name = "partition",
		 .type = PARAM_WORD,
		 .words = partitions,
		 .doc = "nothing gets through: lost without a word, rejected by ICMP, or TCP reset "
			"(and the rest rejected)"},
	[NETWORK_REJECT_WITH] =
		{.name = "reject-with",
		 .type = PARAM_WORD,
		 .words = reasons,
		 .fallback = "port-unreachable",
		 .doc = "what ICMP says; connect() then fails with ECONNREFUSED, EHOSTUNREACH, "
			"ENETUNREACH, EHOSTUNREACH (over IPv6 EACCES)"},
	[NETWORK_RESET_CONNECTIONS] =
		{.name = "reset-connections",
		 .type = PARAM_BOOL,
		 .doc = "TCP connections in scope that exist are ended when it begins; without "
			"another effect that is all, and there is no `for`"},
	[NETWORK_LOSS] = STRENGTH("loss", PARAM_SHARE, SHARE_ONE, "share of packets that is lost"),
	[NETWORK_LOSS_CORRELATION] =
		SHARE("loss-correlation", "how much the fate of a packet is like the last one's"),
	[NETWORK_GEMODEL_P] =
		SHARE("gemodel-p", "Gilbert-Elliott loss: chance that good times turn bad"),
	[NETWORK_GEMODEL_R] =
		SHARE("gemodel-r", "chance that bad times turn good; without it 100% - p"),
	[NETWORK_GEMODEL_1_H] = SHARE("gemodel-1-h", "loss in bad times; without it 100%"),
	[NETWORK_GEMODEL_1_K] = SHARE("gemodel-1-k", "loss in good times; without it 0%"),
	[NETWORK_STATE_P13] = SHARE(
		"state-p13", "Markov loss of four states: chance that a burst of loss begins"),
	[NETWORK_STATE_P31] =
		SHARE("state-p31", "chance that a burst of loss ends; without it 100% - p13"),
	[NETWORK_STATE_P32] =
		SHARE("state-p32", "chance of a packet received in a burst; without it 0%"),
	[NETWORK_STATE_P23] = SHARE("state-p23", "chance that loss follows it; without it 100%"),
	[NETWORK_STATE_P14] = SHARE("state-p14", "chance of a single loss; without it 0%"),
	[NETWORK_LOSS_EVERY] = INTEGER("loss-every", 2, 1000000,
				       "of so many packets one is lost, counted, beside any other "
				       "loss"),
	[NETWORK_LOSS_EVERY_FIRST] =
		INTEGER("loss-every-first", 1, 1000000,
			"which of them; without it the last one of each loss-every"),
	[NETWORK_ECN] = {.name = "ecn",
			 .type = PARAM_BOOL,
			 .doc = "mark packets of ECN connections (congestion experienced) instead "
				"of losing them"},
	[NETWORK_DUPLICATE] =
		STRENGTH("duplicate", PARAM_SHARE, SHARE_ONE, "share of packets that arrive twice"),
	[NETWORK_DUPLICATE_CORRELATION] = SHARE("duplicate-correlation", "as loss-correlation"),
	[NETWORK_CORRUPT] = STRENGTH("corrupt", PARAM_SHARE, SHARE_ONE,
				     "share of packets in which one bit is wrong"),
	[NETWORK_CORRUPT_CORRELATION] = SHARE("corrupt-correlation", "as loss-correlation"),
	[NETWORK_REORDER] = STRENGTH("reorder", PARAM_SHARE, SHARE_ONE,
				     "share of packets that is not delayed and overtakes"),
	[NETWORK_REORDER_CORRELATION] = SHARE("reorder-correlation", "as loss-correlation"),
	[NETWORK_REORDER_GAP] =
		INTEGER("reorder-gap", 1, 1000000, "only every so-manieth packet may overtake"),
	[NETWORK_RATE] =
		{.name = "rate",
		 .type = PARAM_RATE,
		 .flags = PARAM_RAMPED,
		 .min = 8,
		 .max = 1000000000000LL,
		 .doc = "bandwidth of each interface and direction, for all its packets in "
			"scope together"},
	[NETWORK_BURST] = {.name = "burst",
			   .type = PARAM_SIZE,
			   .min = 1600,
			   .max = 1 << 30,
			   .doc = "so much may pass at once after a pause"},
	[NETWORK_PEAK_RATE] = {.name = "peak-rate",
			       .type = PARAM_RATE,
			       .min = 8,
			       .max = 1000000000000LL,
			       .doc = "bandwidth at which a burst passes, above rate"},
	[NETWORK_PEAK_BURST] = {.name = "peak-burst",
				.type = PARAM_SIZE,
				.min = 1600,
				.max = 1 << 30,
				.doc = "so much of it at once all the same; without it one packet"},
	[NETWORK_PACKET_OVERHEAD] = INTEGER("packet-overhead", -1000, 10000,
					    "bytes that a packet counts more (or less)"),
	[NETWORK_CELL_SIZE] =
		INTEGER("cell-size", 1, 65535, "packets count as whole cells of so many bytes"),
	[NETWORK_CELL_OVERHEAD] =
		INTEGER("cell-overhead", -1000, 10000, "bytes that a cell counts more"),
	[NETWORK_SLOT] = STRENGTH("slot", PARAM_DURATION, 60 * NSEC_PER_SEC,
				  "packets are collected and leave together, after so long"),
	[NETWORK_SLOT_MAX] = DURATION(
		"slot-max", 60 * NSEC_PER_SEC,
		"the time between two slots varies from slot to slot-max, 2s more at most"),
	[NETWORK_SLOT_JITTER] =
		DURATION("slot-jitter", NSEC_PER_SEC,
			 "the same: it varies by so much around slot, as slot-distribution says"),
	[NETWORK_SLOT_DISTRIBUTION] = {.name = "slot-distribution",
				       .type = PARAM_WORD,
				       .words = distributions,
				       .fallback = "uniform",
				       .doc = "shape of slot-jitter, as distribution is of jitter"},
	[NETWORK_SLOT_PACKETS] =
		INTEGER("slot-packets", 1, 1000000, "no more packets leave in one slot"),
	[NETWORK_SLOT_BYTES] = {.name = "slot-bytes",
				.type = PARAM_SIZE,
				.min = 1600,
				.max = 1 << 30,
				.doc = "no more bytes leave in one slot"},
	[NETWORK_SEGMENT] = {.name = "segment",
			     .type = PARAM_SIZE,
			     .min = 1,
			     .max = 65535,
			     .doc = "TCP data leave in pieces of so many bytes at most, each a "
				    "packet"},
	[NETWORK_SEED] = INTEGER("seed", 1, INT64_MAX,
				 "the same seed and the same packets give the same effect"),
	[NETWORK_LIMIT] = INTEGER("limit", 1, 1000000,
				  "packets that may wait; more are dropped (and counted)"),
	[NETWORK_AFTER_BYTES] = {.name = "after-bytes",
				 .type = PARAM_SIZE,
				 .min = 1,
				 .max = 1LL << 50,
				 .doc = "a flow is met only once more bytes of its packets have "
					"passed, since it began"},
	[NETWORK_PAYLOAD] = {.name = "payload",
			     .type = PARAM_TEXT,
			     .flags = PARAM_LIST,
			     .doc = "only packets in whose data one of these texts stands; "
				    "\"hex:0d0a\" for bytes",
			     .example = "DELETE /cart"},
	[NETWORK_DIRECTION] =
		{.name = "direction",
		 .type = PARAM_WORD,
		 .words = directions,
		 .fallback = "egress",
		 .doc = "what leaves, what arrives, or both (then the delay is met twice)"},
	[NETWORK_ALLOW_BYPASS] =
		{.name = "allow-bypass",
		 .type = PARAM_BOOL,
		 .fallback = "false",
		 .doc =
			 "netem also where packets then bypass filters of yours: tc "
			 "filters with actions (drop, police) at egress"},
	{.name = NULL},
};

/* `key` means nothing without one of the others. */
struct need {
	enum network_param key, of[2];
	const char *why;
};

static const struct need needs[] = {
	{NETWORK_JITTER, {NETWORK_DELAY}, "needs a delay to vary"},
	{NETWORK_DISTRIBUTION, {NETWORK_JITTER}, "is the shape of a jitter: give jitter"},
	{NETWORK_DISTRIBUTION_LOST, {NETWORK_DISTRIBUTION_SAMPLES}, "needs distribution-samples"},
	{NETWORK_LOSS_CORRELATION, {NETWORK_LOSS}, "needs loss"},
	{NETWORK_GEMODEL_R, {NETWORK_GEMODEL_P}, "needs gemodel-p"},
	{NETWORK_GEMODEL_1_H, {NETWORK_GEMODEL_P}, "needs gemodel-p"},
	{NETWORK_GEMODEL_1_K, {NETWORK_GEMODEL_P}, "needs gemodel-p"},
	{NETWORK_STATE_P31, {NETWORK_STATE_P13}, "needs state-p13"},
	{NETWORK_STATE_P32, {NETWORK_STATE_P13}, "needs state-p13"},
	{NETWORK_STATE_P23, {NETWORK_STATE_P13}, "needs state-p13"},
	{NETWORK_STATE_P14, {NETWORK_STATE_P13}, "needs state-p13"},
	{NETWORK_LOSS_EVERY_FIRST, {NETWORK_LOSS_EVERY}, "needs loss-every"},
	{NETWORK_DUPLICATE_CORRELATION, {NETWORK_DUPLICATE}, "needs duplicate"},
	{NETWORK_CORRUPT_CORRELATION, {NETWORK_CORRUPT}, "needs corrupt"},
	{NETWORK_REORDER_CORRELATION, {NETWORK_REORDER}, "needs reorder"},
	{NETWORK_REORDER_GAP, {NETWORK_REORDER}, "needs reorder"},
	{NETWORK_BURST, {NETWORK_RATE}, "needs rate"},
	{NETWORK_PEAK_RATE, {NETWORK_RATE}, "needs rate"},
	{NETWORK_PEAK_RATE,
	 {NETWORK_BURST},
	 "needs burst: without one nothing is faster than rate"},
	{NETWORK_PEAK_BURST, {NETWORK_PEAK_RATE}, "needs peak-rate"},
	{NETWORK_PACKET_OVERHEAD, {NETWORK_RATE}, "needs rate"},
	{NETWORK_CELL_SIZE, {NETWORK_RATE}, "needs rate"},
	{NETWORK_CELL_OVERHEAD, {NETWORK_CELL_SIZE}, "needs cell-size"},
	{NETWORK_SLOT_MAX, {NETWORK_SLOT}, "needs slot"},
	{NETWORK_SLOT_JITTER, {NETWORK_SLOT}, "needs slot"},
	{NETWORK_SLOT_DISTRIBUTION,
	 {NETWORK_SLOT_JITTER},
	 "is the shape of slot-jitter: give slot-jitter"},
	{NETWORK_SLOT_PACKETS, {NETWORK_SLOT}, "needs slot"},
	{NETWORK_SLOT_BYTES, {NETWORK_SLOT}, "needs slot"},
	{NETWORK_DELAY_CORRELATION,
	 {NETWORK_JITTER, NETWORK_DISTRIBUTION_SAMPLES},
	 "needs jitter or measured round trips"},
	{NETWORK_REORDER,
	 {NETWORK_DELAY, NETWORK_DISTRIBUTION_SAMPLES},
	 "needs a delay: without it nothing can be overtaken"},
};

static bool is_given(const struct params *params, enum network_param key)
{
	if (network_params[key].flags & PARAM_LIST)
		return params_count(params, key) > 0;
	return params_number(params, key, 0) > 0; /* what is 0 is not there */
}

static int check_needs(const struct params *params, struct error *err)
{
	for (unsigned i = 0; i < sizeof(needs) / sizeof(*needs); i++) {
		const struct need *need = &needs[i];
		bool is_met = is_given(params, need->of[0]) ||
			      (need->of[1] && is_given(params, need->of[1]));

		if (params_is_set(params, need->key) && !is_met)
			return error_set(err, EINVAL, "%s %s", network_params[need->key].name,
					 need->why);
	}
	return 0;
}

static int check_delay(const struct params *params, struct error *err)
{
	unsigned samples = params_count(params, NETWORK_DISTRIBUTION_SAMPLES);

	if (!samples && !params_is_set(params, NETWORK_DISTRIBUTION_FILE))
		return 0;
	if (params_is_set(params, NETWORK_DELAY) || params_is_set(params, NETWORK_JITTER))
		return error_set(err, EINVAL,
				 "delay and jitter come from the measured round trips: give them "
				 "or distribution-%s",
				 params_is_set(params, NETWORK_DISTRIBUTION_FILE) ? "file"
										  : "samples");
	if (samples < 2)
		return error_set(err, EINVAL,
				 "distribution-samples: a distribution needs two round trips at "
				 "least");
	return 0;
}

static int check_loss(const struct params *params, struct error *err)
{
	bool has_gemodel = params_is_set(params, NETWORK_GEMODEL_P);
	bool has_state = params_is_set(params, NETWORK_STATE_P13);

	if (params_is_set(params, NETWORK_LOSS) + has_gemodel + has_state > 1)
		return error_set(err, EINVAL,
				 "loss, gemodel-p and state-p13 are three models of loss: give "
				 "one");
	if (params_number(params, NETWORK_STATE_P13, 0) +
		    params_number(params, NETWORK_STATE_P14, 0) >
	    SHARE_ONE)
		return error_set(err, EINVAL,
				 "state-p13 and state-p14 are more than 100%% together");
	if (params_number(params, NETWORK_STATE_P31, 0) +
		    params_number(params, NETWORK_STATE_P32, 0) >
	    SHARE_ONE)
		return error_set(err, EINVAL,
				 "state-p31 and state-p32 are more than 100%% together");
	if (params_number(params, NETWORK_LOSS_EVERY_FIRST, 0) >
	    params_number(params, NETWORK_LOSS_EVERY, INT64_MAX))
		return error_set(err, EINVAL,
				 "loss-every-first is greater than loss-every: it is one of so "
				 "many packets");
	if (params_number(params, NETWORK_ECN, 0) && !has_gemodel && !has_state &&
	    !params_number(params, NETWORK_LOSS, 0) && !is_given(params, NETWORK_LOSS_EVERY))
		return error_set(err, EINVAL, "ecn needs a loss, in place of which it marks");
	return 0;
}

/* What is not there cannot be late, and what is refused cannot be lost. */
static int check_partition(const struct params *params, struct error *err)
{
	static const enum network_param others[] = {
		NETWORK_LOSS, NETWORK_GEMODEL_P, NETWORK_STATE_P13, NETWORK_LOSS_EVERY,
		NETWORK_ECN,  NETWORK_DUPLICATE, NETWORK_CORRUPT,   NETWORK_REORDER,
		NETWORK_RATE, NETWORK_SLOT,	 NETWORK_SEGMENT};
	bool refuses = params_number(params, NETWORK_PARTITION, NETWORK_DROP) != NETWORK_DROP;

	if (params_is_set(params, NETWORK_REJECT_WITH) && !refuses)
		return error_set(
			err, EINVAL,
			"reject-with belongs to `partition: reject` (or reset, for what is "
			"not TCP)");
	if (!params_is_set(params, NETWORK_PARTITION))
		return 0;
	for (unsigned i = 0; i < sizeof(others) / sizeof(*others); i++)
		if (is_given(params, others[i]))
			return error_set(err, EINVAL,
					 "partition lets nothing through: %s does not go with it",
					 network_params[others[i]].name);
	if (!refuses &&
	    (is_given(params, NETWORK_DELAY) || is_given(params, NETWORK_DISTRIBUTION_SAMPLES)))
		return error_set(err, EINVAL,
				 "what is dropped cannot be delayed; a delay goes with `partition: "
				 "reject` or reset, whose answers are late then");
	return 0;
}

/* netem multiplies the width of what the time between two slots is drawn from by 32 random bits in
 * 63 (get_slot_next() in net/sched/sch_netem.c, before mul_u64_u32_shr() came there in 2026). */
#define SLOT_WIDTH_MAX (2 * NSEC_PER_SEC)

static int check_slot(const struct params *params, struct error *err)
{
	int64_t slot_ns = params_number(params, NETWORK_SLOT, 0);
	int64_t max_ns = params_number(params, NETWORK_SLOT_MAX, slot_ns);

	if (max_ns < slot_ns)
		return error_set(err, EINVAL, "slot-max is less than slot");
	if (max_ns - slot_ns > SLOT_WIDTH_MAX)
		return error_set(err, EINVAL,
				 "slot-max is more than 2s greater than slot: netem's arithmetic "
				 "does not reach further");
	if (params_is_set(params, NETWORK_SLOT_MAX) && params_is_set(params, NETWORK_SLOT_JITTER))
		return error_set(err, EINVAL,
				 "slot-max and slot-jitter both say how slot varies: give one");
	if (params_number(params, NETWORK_SLOT_JITTER, 0) > slot_ns && slot_ns)
		return error_set(err, EINVAL,
				 "slot-jitter is greater than slot: no slot is before the last "
				 "one");
	return 0;
}

/* In which both ways compute: of netem and tbf. */
static int64_t bytes_a_second(const struct params *params, enum network_param key)
{
	return (params_number(params, key, 0) + 7) / 8;
}

static int check_rate(const struct params *params, struct error *err)
{
	if (params_is_set(params, NETWORK_BURST) &&
	    (params_is_set(params, NETWORK_CELL_SIZE) ||
	     params_number(params, NETWORK_PACKET_OVERHEAD, 0) < 0))
		return error_set(err, EINVAL,
				 "burst does not go with cell-size or a negative packet-overhead");
	if (params_is_set(params, NETWORK_PEAK_RATE) &&
	    bytes_a_second(params, NETWORK_PEAK_RATE) <= bytes_a_second(params, NETWORK_RATE))
		return error_set(err, EINVAL,
				 "peak-rate is not above rate: it is the rate at which a burst "
				 "passes");
	if (params_number(params, NETWORK_PEAK_BURST, 0) >=
	    params_number(params, NETWORK_BURST, INT64_MAX))
		return error_set(err, EINVAL,
				 "peak-burst is not below burst: all of it would pass at once, "
				 "whatever peak-rate is");
	return 0;
}

/* What passes a delay line that refuses has nowhere to go on. */
static int check_payload(const struct params *params, struct error *err)
{
	struct delay_payload payload = {0};
	int result = 0;

	for (unsigned i = 0; result == 0 && i < params_count(params, NETWORK_PAYLOAD); i++) {
		result = delay_payload_add(&payload, params_value(params, NETWORK_PAYLOAD, i)->text,
					   err);
		if (result < 0)
			return error_prefix(err, "payload");
	}
	if (!payload.count)
		return 0;
	if (params_number(params, NETWORK_PARTITION, NETWORK_DROP) != NETWORK_DROP) {
		error_set(err, EINVAL, "payload does not go with `partition: reject` or reset");
		return error_remedy(err, "partition: drop loses such packets without a word");
	}
	if (params_number(params, NETWORK_RESET_CONNECTIONS, 0))
		return error_set(err, EINVAL,
				 "payload is in packets, and reset-connections ends connections, "
				 "whatever they carry");
	return 0;
}

/* They end when it begins, whatever they have carried. */
static int check_after(const struct params *params, struct error *err)
{
	if (!params_is_set(params, NETWORK_AFTER_BYTES) ||
	    !params_number(params, NETWORK_RESET_CONNECTIONS, 0))
		return 0;
	return error_set(err, EINVAL,
			 "reset-connections ends connections when the fault begins, and "
			 "after-bytes later: give one, or partition: reset with after-bytes");
}

static bool has_effect(const struct params *params)
{
	static const enum network_param effects[] = {
		NETWORK_DELAY,	   NETWORK_DISTRIBUTION_SAMPLES,
		NETWORK_LOSS,	   NETWORK_GEMODEL_P,
		NETWORK_STATE_P13, NETWORK_LOSS_EVERY,
		NETWORK_DUPLICATE, NETWORK_CORRUPT,
		NETWORK_RATE,	   NETWORK_SLOT,
		NETWORK_SEGMENT};
	bool is_any = params_is_set(params, NETWORK_PARTITION);

	for (unsigned i = 0; i < sizeof(effects) / sizeof(*effects); i++)
		is_any |= is_given(params, effects[i]);
	return is_any;
}

bool network_is_instant(const struct params *params)
{
	return params_number(params, NETWORK_RESET_CONNECTIONS, 0) && !has_effect(params);
}

int network_check(const struct params *params, struct error *err)
{
	int result = check_delay(params, err);

	if (result == 0)
		result = check_needs(params, err);
	if (result == 0)
		result = check_loss(params, err);
	if (result == 0)
		result = check_rate(params, err);
	if (result == 0)
		result = check_slot(params, err);
	if (result == 0)
		result = check_partition(params, err);
	if (result == 0)
		result = check_after(params, err);
	if (result == 0)
		result = check_payload(params, err);
	if (result == 0 && !has_effect(params) && !network_is_instant(params))
		result = error_set(err, EINVAL,
				   "no effect: give delay, distribution-file, partition, loss, "
				   "gemodel-p, state-p13, loss-every, duplicate, corrupt, rate, "
				   "slot, segment or reset-connections");
	return result;
}
