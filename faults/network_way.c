/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * By which way a network fault acts here: what takes the packets out (a table or a filter), and
 * what keeps, loses or answers them (netem, a delay line, the table itself). Said in the plan, and
 * why.
 */
#include "faults/network.h"

#include "faults/network_support.h"

#include <errno.h>
#include <sys/utsname.h>
#include <unistd.h>

static int choose_gate(struct network_state *state, const struct network_support *support,
		       struct plan *plan, struct error *err)
{
	struct utsname kernel;

	if (support->has_gate) {
		state->hook = NETWORK_GATE;
		return plan_add(plan, PLAN_NOTE,
				"no nf_tables egress hook (%s): tc filters at clsact instead",
				support->hook_reason);
	}
	uname(&kernel);
	error_set(err, EOPNOTSUPP,
		  "the kernel (%s) has no nf_tables hook for this: %s; nor clsact: %s",
		  kernel.release, support->hook_reason, support->gate_reason);
	return error_remedy(err, "%s", NETWORK_HOOK_REMEDY);
}

static const char *hook_words(const struct network_state *state)
{
	return state->hook == NETWORK_GATE ? "a BPF filter" : "nf_tables";
}

/* Not by `reject` of nf_tables: see delay_refuse.h. */
static int choose_refusal(struct network_state *state, bool has_tun, struct plan *plan,
			  struct error *err)
{
	const bool resets = state->effect.refusal.resets;
	int result;

	if (!has_tun) {
		error_set(err, ENODEV,
			  "partition: %s: the answers need a tap, and there is no /dev/net/tun",
			  resets ? "reset" : "reject");
		return error_remedy(err, "modprobe tun (in a container, pass the device into it), "
					 "or partition: drop");
	}
	state->way = NETWORK_LINE;
	result =
		plan_add(plan, PLAN_WAY,
			 "%s forwards everything in scope to a tap, whose reader in the worker %s",
			 hook_words(state),
			 resets ? "resets TCP and rejects the rest by ICMP" : "rejects it by ICMP");
	if (result == 0)
		result = plan_add(plan, PLAN_NOTE,
				  "refusals come from the address that was meant, by the interface "
				  "that leads there");
	if (result == 0 && !resets)
		result =
			plan_add(plan, PLAN_NOTE,
				 "connections that exist are not ended by ICMP: they hang, as with "
				 "a packet filter that rejects");
	return result;
}

/* The kernel's own queue, and what has to be said of it. */
static int choose_netem(struct network_state *state, const struct network_support *support,
			struct plan *plan)
{
	int result;

	state->way = NETWORK_NETEM;
	state->has_kernel_seed = support->has_netem_seed;
	result = plan_add(plan, PLAN_WAY, "%s forwards to an ifb with netem%s", hook_words(state),
			  network_effect_needs_wire_packets(&state->effect)
				  ? "; segmented before it, so that what is decided packet by "
				    "packet counts packets as on the wire"
				  : "");
	if (result == 0 && state->effect.full.has_seed && !support->has_netem_seed)
		result =
			plan_add(plan, PLAN_NOTE,
				 "this kernel's netem has no seed (Linux 6.6 has): every run draws "
				 "other packets");
	return result;
}

static int choose_line(struct network_state *state, const struct network_support *support,
		       struct plan *plan)
{
	int result;

	state->way = NETWORK_LINE;
	result = plan_add(plan, PLAN_WAY, "%s forwards to a delay line in user space%s",
			  hook_words(state),
			  support->has_netem ? "" : " (no netem here: squall doctor)");
	if (result == 0)
		result = plan_add(plan, PLAN_NOTE,
				  "behind the delay line packets have no mark, priority or owning "
				  "socket");
	for (unsigned i = 0; result == 0 && i < state->path_count; i++)
		if (state->paths[i].is_ingress)
			result = plan_add(plan, PLAN_NOTE,
					  "%s ingress: XDP (generic), tc filters and other "
					  "nf_tables chains there see a delayed packet again when "
					  "it comes back",
					  state->paths[i].interface);
	return result;
}

/* netem takes packets as they are. */
static int note_cut(const struct network_state *state, bool has_netem, bool has_tun,
		    struct plan *plan, struct error *err)
{
	const unsigned segment = state->effect.segment;

	if (!segment)
		return 0;
	if (!has_tun) {
		error_set(err, ENODEV,
			  "segment: a delay line cuts the packets, and there is no /dev/net/tun");
		return error_remedy(err,
				    "modprobe tun (in a container, pass the device into it), or "
				    "leave segment out");
	}
	return plan_add(
		plan, PLAN_NOTE,
		"TCP leaves in pieces of at most %u bytes of data: %sa delay line cuts it; "
		"where they arrive, the machine may join them again (GRO) before the program "
		"reads",
		segment, has_netem ? "netem cannot, " : "");
}

/* Neither netem nor tables look into packets. */
static int note_payload(const struct network_state *state, bool has_tun, struct plan *plan,
			struct error *err)
{
	if (!state->effect.payload.count)
		return 0;
	if (!has_tun) {
		error_set(err, ENODEV,
			  "payload: a delay line looks into the packets, and there is no "
			  "/dev/net/tun");
		return error_remedy(err, "modprobe tun (in a container, pass the device into it), "
					 "or leave payload out");
	}
	return plan_add(
		plan, PLAN_NOTE,
		"a delay line looks into each packet in scope for the payload, and sends on "
		"at once what has none of it; a text that is cut between two packets is in "
		"neither, and in TLS none is to be read");
}

/* What netem lacks and a delay line has. */
static int note_line(const struct network_state *state, bool has_netem, bool has_tun,
		     struct plan *plan, struct error *err)
{
	const struct netem_config *effect = &state->effect.full;
	int result = note_cut(state, has_netem, has_tun, plan, err);

	if (result == 0)
		result = note_payload(state, has_tun, plan, err);
	if (result < 0)
		return result;
	if (effect->loss_every && !has_tun) {
		error_set(err, ENODEV,
			  "loss-every: a delay line counts the packets, and there is no "
			  "/dev/net/tun");
		return error_remedy(err,
				    "modprobe tun (in a container, pass the device into it), or "
				    "draw the lost ones: loss: %.6g%%",
				    100.0 / effect->loss_every);
	}
	if (effect->loss_every)
		result = plan_add(plan, PLAN_NOTE,
				  "one in every %u packets is lost: %sa delay line counts them, as "
				  "on the wire, for each interface and direction by itself",
				  effect->loss_every, has_netem ? "netem can only draw, " : "");
	if (effect->jitter_ns > NETEM_JITTER_MAX_NS && !has_tun) {
		error_set(err, ENODEV,
			  "a jitter of more than 2s: netem cannot, and there is no /dev/net/tun "
			  "for a delay line");
		return error_remedy(err, "modprobe tun (in a container, pass the device into it), "
					 "or make it smaller");
	}
	if (result == 0 && has_netem && effect->jitter_ns > NETEM_JITTER_MAX_NS)
		result = plan_add(plan, PLAN_NOTE,
				  "a jitter of more than 2s: netem cannot, a delay line does it");
	if (result == 0 && has_netem && effect->delay_correlation_ppb)
		result =
			plan_add(plan, PLAN_NOTE,
				 "netem does not correlate delays (it divides the drawn number and "
				 "keeps the remainder)%s",
				 has_tun ? ": a delay line does"
					 : ", and there is no /dev/net/tun for a delay line, which "
					   "does: delay-correlation has no effect here");
	return result;
}

static int choose_queue(struct network_state *state, const struct network_support *support,
			bool has_tun, struct plan *plan, struct error *err)
{
	const struct netem_config *effect = &state->effect.full;
	const bool needs_line =
		(effect->delay_correlation_ppb || effect->loss_every || state->effect.segment ||
		 state->effect.payload.count || effect->jitter_ns > NETEM_JITTER_MAX_NS) &&
		has_tun;
	const bool is_plain_loss = network_effect_is_plain_loss(&state->effect);
	bool is_bypassed = false;
	int result = note_line(state, support->has_netem, has_tun, plan, err);

	if (result == 0 && support->has_netem)
		result = network_find_bypassed(state, plan, &is_bypassed, err);
	if (result < 0)
		return result;
	if (is_bypassed && !has_tun && !is_plain_loss) {
		error_set(err, EOPNOTSUPP,
			  "packets would bypass filters of yours behind netem, and there is no "
			  "/dev/net/tun for a delay line");
		return error_remedy(err, "modprobe tun, or allow-bypass: true");
	}
	if (support->has_netem && !is_bypassed && !needs_line)
		return choose_netem(state, support, plan);
	if (!is_plain_loss || has_tun)
		return choose_line(state, support, plan);
	return plan_add(plan, PLAN_WAY,
			"random drops by %s; with segmentation offload one drop is up to 64 KiB of "
			"a TCP stream",
			hook_words(state));
}

int network_choose_way(struct network_state *state, struct plan *plan, struct error *err)
{
	const bool has_tun = access("/dev/net/tun", R_OK | W_OK) == 0;
	struct network_support support;
	char remedy[200];
	int result = network_survey(&support, err);

	if (result == 0 && !support.has_hook)
		result = choose_gate(state, &support, plan, err);
	if (result < 0)
		return result;
	state->has_ifb = support.has_ifb;
	state->has_line = has_tun;
	state->way = NETWORK_FILTER;
	if (network_effect_is_partition(&state->effect))
		return plan_add(plan, PLAN_WAY, "%s drops everything in scope", hook_words(state));
	if (state->effect.refusal.is_on)
		return choose_refusal(state, has_tun, plan, err);
	result = choose_queue(state, &support, has_tun, plan, err);
	if (result < 0 || support.has_netem)
		return result;
	network_netem_remedy(remedy, sizeof(remedy));
	return plan_add(plan, PLAN_NOTE, "no netem (%s): %s", support.netem_reason, remedy);
}
