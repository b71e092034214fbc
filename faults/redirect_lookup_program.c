/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The BPF program that chooses the socket of a new connection (BPF_PROG_TYPE_SK_LOOKUP), written
 * for one scope: is it TCP to one of the ports? to no responder, and from none that is as old as
 * this one or older? of one of the clients, at one of our addresses? then it is for our responder.
 * What does not hold jumps to the end, where the kernel goes on looking for the server.
 */
#include "faults/redirect_lookup.h"

#include "injector/kernel/bpf_builder.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* Calls write over R0 to R5. */
enum { R0, R1, R2, R3, VALUE, WANTED, CONTEXT, CLIENT_PORT, SERVER_PORT, IS_IPV4, STACK };

#define FIELD(name) ((int)offsetof(struct bpf_sk_lookup, name))
#define KEY(name)                                                                                  \
	(-(int)sizeof(struct redirect_pass_key) + (int)offsetof(struct redirect_pass_key, name))
#define FOUND(name) ((int)offsetof(struct redirect_pass_value, name))
#define CLIENT	    (-48) /* of the stack: 16 bytes each */
#define SERVER	    (-64)

static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff}; /* ::ffff:0:0/96 */

/* By a condition that always holds, for the verifier refuses what nothing leads to. */
static void jump_always(struct bpf_builder *builder, unsigned label)
{
	bpf_jump_if_register(builder, BPF_JEQ, SERVER_PORT, SERVER_PORT, label);
}

static void copy_words(struct bpf_builder *builder, int to, unsigned from, int offset)
{
	for (int word = 0; word < 4; word++) {
		bpf_read(builder, BPF_W, VALUE, from, offset + 4 * word);
		bpf_write(builder, BPF_W, STACK, to + 4 * word, VALUE);
	}
}

static void copy_mapped(struct bpf_builder *builder, int to, int field)
{
	bpf_write_value(builder, BPF_W, STACK, to, 0);
	bpf_write_value(builder, BPF_W, STACK, to + 4, 0);
	bpf_write_value(builder, BPF_W, STACK, to + 8, (int32_t)htonl(0xffff));
	bpf_read(builder, BPF_W, VALUE, CONTEXT, field);
	bpf_write(builder, BPF_W, STACK, to + 12, VALUE);
}

/* Client and server are on the stack then. */
static void read_addresses(struct bpf_builder *builder)
{
	unsigned is_ipv4 = bpf_label(builder), done = bpf_label(builder);

	bpf_set(builder, IS_IPV4, 1);
	bpf_read(builder, BPF_W, VALUE, CONTEXT, FIELD(family));
	bpf_jump_if(builder, BPF_JEQ, VALUE, AF_INET, is_ipv4);
	bpf_set(builder, IS_IPV4, 0);
	copy_words(builder, CLIENT, CONTEXT, FIELD(remote_ip6));
	copy_words(builder, SERVER, CONTEXT, FIELD(local_ip6));
	bpf_jump(builder, done);
	bpf_place(builder, is_ipv4);
	copy_mapped(builder, CLIENT, FIELD(remote_ip4));
	copy_mapped(builder, SERVER, FIELD(local_ip4));
	bpf_place(builder, done);
}

/* R0: address of the entry for the key on the stack; NULL: there is none. */
static void look_up(struct bpf_builder *builder, int map, int key)
{
	bpf_copy(builder, R2, STACK);
	bpf_compute_value(builder, BPF_ADD, R2, key);
	bpf_set_map(builder, R1, map);
	bpf_call(builder, BPF_FUNC_map_lookup_elem);
}

static void spare_responders(struct bpf_builder *builder, const struct redirect_pass *pass,
			     unsigned away)
{
	unsigned none = bpf_label(builder);

	copy_words(builder, KEY(address), STACK, SERVER);
	bpf_copy(builder, VALUE, SERVER_PORT);
	bpf_to_host(builder, VALUE, 16); /* and the other way */
	bpf_write(builder, BPF_H, STACK, KEY(port), VALUE);
	bpf_set(builder, VALUE, 1);
	bpf_write(builder, BPF_H, STACK, KEY(is_listener), VALUE);
	bpf_set(builder, VALUE, pass->space);
	bpf_write(builder, BPF_W, STACK, KEY(space), VALUE);
	look_up(builder, pass->map, KEY(address));
	bpf_jump_if_null(builder, R0, none);
	bpf_jump(builder, away);
	bpf_place(builder, none);
}

/* What a newer one passes on is its client's, wherever that one sends it from. */
static void find_client(struct bpf_builder *builder, const struct redirect_pass *pass,
			unsigned away)
{
	unsigned none = bpf_label(builder);

	bpf_read(builder, BPF_W, CLIENT_PORT, CONTEXT, FIELD(remote_port));
	copy_words(builder, KEY(address), STACK, CLIENT);
	bpf_write(builder, BPF_H, STACK, KEY(port), CLIENT_PORT);
	bpf_set(builder, VALUE, 0);
	bpf_write(builder, BPF_H, STACK, KEY(is_listener), VALUE);
	look_up(builder, pass->map, KEY(address));
	bpf_jump_if_null(builder, R0, none);
	bpf_read(builder, BPF_W, VALUE, R0, FOUND(mark));
	bpf_set(builder, WANTED, pass->mark);
	bpf_jump_if_register(builder, BPF_JLE, VALUE, WANTED, away);
	bpf_read(builder, BPF_H, CLIENT_PORT, R0, FOUND(port));
	copy_words(builder, CLIENT, R0, FOUND(address));
	bpf_place(builder, none);
	bpf_to_host(builder, CLIENT_PORT, 16);
}

/* An address on the stack against a network, word by word. */
static void test_words(struct bpf_builder *builder, int at, const uint8_t *address, unsigned prefix,
		       unsigned miss)
{
	for (int word = 0; prefix > 0; word++) {
		unsigned bits = prefix < 32 ? prefix : 32;
		uint32_t wanted;

		memcpy(&wanted, address + (size_t)word * 4, sizeof(wanted));
		bpf_read(builder, BPF_W, VALUE, STACK, at + 4 * word);
		if (bits < 32)
			bpf_compute32_value(builder, BPF_AND, VALUE, htonl(~(UINT32_MAX >> bits)));
		bpf_set(builder, WANTED, wanted);
		bpf_jump_if_register(builder, BPF_JNE, VALUE, WANTED, miss);
		prefix -= bits;
	}
}

static void test_network(struct bpf_builder *builder, int at, int family, const uint8_t *address,
			 unsigned prefix, unsigned miss)
{
	if (family == AF_UNSPEC)
		return;
	bpf_jump_if(builder, BPF_JNE, IS_IPV4, family == AF_INET, miss);
	test_words(builder, family == AF_INET ? at + (int)sizeof(mapped) : at, address, prefix,
		   miss);
}

static void test_ports(struct bpf_builder *builder, unsigned port, uint16_t first, uint16_t last,
		       unsigned miss)
{
	bpf_jump_if(builder, BPF_JLT, port, first, miss);
	bpf_jump_if(builder, BPF_JGT, port, last, miss);
}

/* Goes to `hit` if it is one of the values. */
static void test_list(struct bpf_builder *builder, const struct params *params, unsigned key,
		      int at, unsigned hit)
{
	for (unsigned i = 0; i < params_count(params, key); i++) {
		const struct param_value *value = params_value(params, key, i);
		const struct endpoint *endpoint = &value->endpoint;
		unsigned miss = bpf_label(builder);

		if (params->table[key].type == PARAM_PORTS) {
			test_ports(builder, SERVER_PORT, value->ports.first, value->ports.last,
				   miss);
		} else {
			test_network(builder, at, endpoint->family, endpoint->address,
				     endpoint->prefix, miss);
			if (endpoint->port_first)
				test_ports(builder, CLIENT_PORT, endpoint->port_first,
					   endpoint->port_last, miss);
		}
		jump_always(builder, hit);
		bpf_place(builder, miss);
	}
}

/* Goes on if the list is empty or it is one of the values. */
static void test_wanted(struct bpf_builder *builder, const struct params *params, unsigned key,
			int at, unsigned away)
{
	unsigned within = bpf_label(builder);

	if (!params_count(params, key))
		return;
	test_list(builder, params, key, at, within);
	jump_always(builder, away);
	bpf_place(builder, within);
}

/* Link-local addresses are not connected to from elsewhere on this machine. Credentials of a cloud
 * are not meant by who names a port. */
static void spare_addresses(struct bpf_builder *builder, const struct params *params, unsigned away)
{
	static const uint8_t link_local[16] = {0xfe, 0x80};
	static const int families[] = {AF_INET, AF_INET6}, sides[] = {CLIENT, SERVER};
	const uint8_t *address;

	for (unsigned side = 0; side < 2; side++) {
		unsigned miss = bpf_label(builder);

		test_network(builder, sides[side], AF_INET6, link_local, 10, miss);
		jump_always(builder, away);
		bpf_place(builder, miss);
	}
	for (unsigned f = 0; f < 2 && !params_count(params, TRAFFIC_LOCAL_ADDRESS); f++)
		for (unsigned i = 0; (address = target_metadata_address(families[f], i)); i++) {
			unsigned miss = bpf_label(builder);

			test_network(builder, SERVER, families[f], address,
				     families[f] == AF_INET ? 32 : 128, miss);
			jump_always(builder, away);
			bpf_place(builder, miss);
		}
}

/* What a rule translates to 127.0.0.1 for another machine: passed on it would seem to come from
 * there, whom servers trust. */
static void spare_loopback(struct bpf_builder *builder, unsigned away)
{
	static const uint8_t loopback4[16] = {127}, loopback6[16] = {[15] = 1};
	unsigned elsewhere4 = bpf_label(builder), elsewhere6 = bpf_label(builder);

	test_network(builder, SERVER, AF_INET, loopback4, 8, elsewhere4);
	test_network(builder, CLIENT, AF_INET, loopback4, 8, away);
	bpf_place(builder, elsewhere4);
	test_network(builder, SERVER, AF_INET6, loopback6, 128, elsewhere6);
	test_network(builder, CLIENT, AF_INET6, loopback6, 128, away);
	bpf_place(builder, elsewhere6);
}

/* One that somebody's program in front of ours has chosen is replaced: it is the server, which is
 * found again when we connect to it. */
static void choose(struct bpf_builder *builder, int sockets, unsigned away)
{
	bpf_set(builder, VALUE, 1);
	bpf_compute(builder, BPF_SUB, VALUE, IS_IPV4);
	bpf_write(builder, BPF_W, STACK, KEY(space), VALUE);
	look_up(builder, sockets, KEY(space));
	bpf_jump_if_null(builder, R0, away);
	bpf_copy(builder, CLIENT_PORT, R0);
	bpf_copy(builder, R1, CONTEXT);
	bpf_copy(builder, R2, R0);
	bpf_set(builder, R3, BPF_SK_LOOKUP_F_REPLACE);
	bpf_call(builder, BPF_FUNC_sk_assign);
	bpf_copy(builder, R1, CLIENT_PORT);
	bpf_call(builder, BPF_FUNC_sk_release);
}

static void write_program(struct bpf_builder *builder, const struct redirect_lookup_scope *scope)
{
	const struct params *params = &scope->target->params;
	unsigned away = bpf_label(builder);

	bpf_copy(builder, CONTEXT, R1);
	bpf_read(builder, BPF_W, VALUE, CONTEXT, FIELD(protocol));
	bpf_jump_if(builder, BPF_JNE, VALUE, IPPROTO_TCP, away);
	bpf_read(builder, BPF_W, SERVER_PORT, CONTEXT, FIELD(local_port));
	test_list(builder, params, TRAFFIC_EXCEPT_LOCAL_PORT, 0, away);
	test_wanted(builder, params, TRAFFIC_LOCAL_PORT, 0, away);
	read_addresses(builder);
	spare_responders(builder, scope->pass, away);
	find_client(builder, scope->pass, away);
	spare_addresses(builder, params, away);
	spare_loopback(builder, away);
	test_list(builder, params, TRAFFIC_EXCEPT, CLIENT, away);
	test_wanted(builder, params, TRAFFIC_TO, CLIENT, away);
	test_list(builder, params, TRAFFIC_EXCEPT_LOCAL_ADDRESS, SERVER, away);
	test_wanted(builder, params, TRAFFIC_LOCAL_ADDRESS, SERVER, away);
	choose(builder, scope->sockets, away);
	bpf_place(builder, away);
	bpf_set(builder, R0, SK_PASS);
	bpf_exit(builder);
}

int redirect_lookup_program_load(const struct redirect_lookup_scope *scope, const char *name,
				 int *out_fd, struct error *err)
{
	struct bpf_builder *builder = malloc(sizeof(*builder)); /* large for a stack */
	struct bpf_code code = {
		.name = name, .type = BPF_PROG_TYPE_SK_LOOKUP, .attach = BPF_SK_LOOKUP};
	int result;

	if (!builder)
		return error_errno(err, ENOMEM, "cannot write a BPF program");
	bpf_builder_init(builder);
	write_program(builder, scope);
	result = bpf_builder_finish(builder, &code, err);
	if (result == 0)
		result = bpf_load(&code, out_fd, err);
	bpf_builder_free(builder);
	free(builder);
	return result;
}
