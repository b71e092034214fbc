/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The nf_tables table of one step, as the text of one transaction: a base chain for each interface
 * and direction (exclusions, then the scope), and a chain that does it (count, drop, forward). An
 * operator who lists the ruleset reads there what is in force, and why. One command for each object
 * instead of one block: for each block libnftables sets up half a megabyte of empty hash tables
 * (cache_init), which is a third of the time until the effect starts.
 */
#include "faults/network.h"

#include "injector/base/cleanup.h"
#include "injector/base/quantity.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void write_endpoint(int family, const uint8_t *address, const char *side, FILE *out)
{
	char text[INET6_ADDRSTRLEN];

	inet_ntop(family, address, text, sizeof(text));
	fprintf(out, "%s %s %s ", family == AF_INET ? "ip" : "ip6", side, text);
}

/* Where our chains stand among all others at the hook, the last of them being after everybody's.
 * Drops come before anybody's forwarding: a lost packet is lost however late it would have been.
 * Among equal priorities the newer chain is first (nf_hook_entries_grow()). */
#define PRIORITY_LOSS  (NETWORK_MAX_HOOK - 2)
#define PRIORITY_DELAY (NETWORK_MAX_HOOK - 1)
#define PRIORITY_BACK  NETWORK_MAX_HOOK

/* How each rule of a chain begins. */
#define START_SIZE 80

static const char *start_of(const struct network_state *state, const char *chain, unsigned at,
			    char out[START_SIZE])
{
	snprintf(out, START_SIZE, "add rule netdev %s %s%u ", state->record.table, chain, at);
	return out;
}

static void write_exclusions(const struct network_state *state, bool is_ingress, const char *start,
			     FILE *out)
{
	/* Without neighbours nothing at all gets through once their entries expire: not what "lose
	 * 5 % towards 10.0.5.0/24" asks for. 133-137: neighbour discovery (RFC 4861). */
	fprintf(out, "%smeta protocol != { ip, ip6 } accept comment \"not IP: ARP and others\"\n",
		start);
	fprintf(out, "%sicmpv6 type 133-137 accept comment \"neighbour discovery\"\n", start);
	for (unsigned i = 0; i < state->control_count; i++) {
		const struct network_connection *c = &state->control[i];
		const uint8_t *from = is_ingress ? c->remote : c->local;
		const uint8_t *to = is_ingress ? c->local : c->remote;

		fputs(start, out);
		write_endpoint(c->family, from, "saddr", out);
		write_endpoint(c->family, to, "daddr", out);
		fprintf(out, "tcp sport %u tcp dport %u accept comment \"controlling session\"\n",
			is_ingress ? c->remote_port : c->local_port,
			is_ingress ? c->local_port : c->remote_port);
	}
}

static int write_action(const struct network_state *state, unsigned at, FILE *out,
			struct error *err)
{
	const struct netem_config *effect = &state->effect.at;
	char share[QUANTITY_TEXT_SIZE], delay[QUANTITY_TEXT_SIZE];
	int device = state->ifb_index, result = 0;
	char drop[48] = "drop", start[START_SIZE];
	bool drops = state->way == NETWORK_FILTER && effect->loss_ppb > 0;

	if (state->has_hole && !state->paths[at].is_ingress)
		snprintf(drop, sizeof(drop), "fwd to " NFT_DEVICE_FORMAT, state->ifb_index);
	start_of(state, "act", at, start);
	fprintf(out, "add chain netdev %s act%u\n", state->record.table, at);
	fprintf(out, "%scounter name \"hit%u\" comment \"packets in scope\"\n", start, at);
	quantity_format_share((int64_t)effect->loss_ppb, share);
	quantity_format_duration(effect->delay_ns, delay);
	if (drops && effect->loss_ppb >= SHARE_ONE)
		fprintf(out, "%scounter name \"lost%u\" %s comment \"loss %s\"\n", start, at, drop,
			share);
	else if (drops)
		fprintf(out,
			"%snumgen random mod %lld < %llu counter name \"lost%u\" %s "
			"comment \"loss %s\"\n",
			start, SHARE_ONE, (unsigned long long)effect->loss_ppb, at, drop, share);
	if (state->way == NETWORK_LINE)
		result = network_line_device(state, at, &device, err);
	if (result == 0 && state->way != NETWORK_FILTER)
		fprintf(out, "%sfwd to " NFT_DEVICE_FORMAT " comment \"delay %s%s%s\"\n", start,
			device, delay, effect->loss_ppb && !drops ? ", loss " : "",
			effect->loss_ppb && !drops ? share : "");
	return result;
}

/* What a delay line gives back meets the ingress hook again (the egress hook it does not,
 * nf_skip_egress() in __netif_receive_skb_core()). Every chain of ours lets it pass by its mark, of
 * whichever run, and the very last one takes the mark off: were each to take off that of its own
 * line, two lines would hand a packet to each other for ever. */
static void write_back(const struct network_state *state, unsigned at, FILE *out)
{
	char start[START_SIZE];

	fprintf(out,
		"add chain netdev %s back%u { type filter hook ingress device \"%s\" priority %d; "
		"policy accept; }\n",
		state->record.table, at, state->paths[at].interface, PRIORITY_BACK);
	fprintf(out, "%smeta mark 0x%x meta mark set 0 comment \"back from a delay line\"\n",
		start_of(state, "back", at, start), NETWORK_MARK);
}

static int write_path(const struct network_state *state, const struct network_scope *scope,
		      unsigned at, FILE *out, struct error *err)
{
	const struct network_path *path = &state->paths[at];
	const char *chain = path->is_ingress ? "in" : "out", *table = state->record.table;
	char verdict[64], start[START_SIZE];
	int result;

	fprintf(out, "add counter netdev %s hit%u\nadd counter netdev %s lost%u\n", table, at,
		table, at);
	result = write_action(state, at, out, err);
	fprintf(out,
		"add chain netdev %s %s%u { type filter hook %s device \"%s\" priority %d; policy "
		"accept; }\n",
		table, chain, at, path->is_ingress ? "ingress" : "egress", path->interface,
		state->way == NETWORK_FILTER ? PRIORITY_LOSS : PRIORITY_DELAY);
	start_of(state, chain, at, start);
	if (path->is_ingress)
		fprintf(out, "%smeta mark 0x%x accept comment \"back from a delay line\"\n", start,
			NETWORK_MARK);
	write_exclusions(state, path->is_ingress, start, out);
	snprintf(verdict, sizeof(verdict), "goto act%u comment \"scope\"", at);
	network_scope_write_rules(scope, path->is_ingress, start, verdict, out);
	if (path->is_ingress && state->way == NETWORK_LINE)
		write_back(state, at, out);
	return result;
}

int network_table_text(const struct network_state *state, const struct target *target,
		       const char *run_id, unsigned step, char **out, struct error *err)
{
	struct network_scope *scope;
	char *text = NULL;
	size_t size;
	FILE *stream;
	int result = network_scope_new(&target->params, &scope, err);

	if (result < 0)
		return result;
	stream = open_memstream(&text, &size);
	if (!stream) {
		network_scope_free(scope);
		return error_errno(err, ENOMEM, "cannot write the table");
	}
	/* `create` fails on a table that exists instead of adding to it */
	fprintf(stream,
		"create table netdev %s { flags owner; comment \"squall run %s step %u\"; }\n",
		state->record.table, run_id, step);
	network_scope_write_sets(scope, state->record.table, stream);
	for (unsigned i = 0; result == 0 && i < state->path_count; i++)
		result = write_path(state, scope, i, stream, err);
	network_scope_free(scope);
	if ((ferror(stream) | fclose(stream)) && result == 0)
		result = error_errno(err, ENOMEM, "cannot write the table");
	if (result < 0)
		free(text);
	else
		*out = text;
	return result;
}
