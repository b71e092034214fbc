/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The target's endpoints as prefix trees. A lookup finds the longest prefix alone, so what shorter
 * ones around it allow is added to its own ports here. Port ranges are prefixes, too, in the tree
 * of ports: at most 30 for any range.
 */
#include "faults/network_gate.h"

#include "injector/kernel/bpf.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CLASSES_MAX 4096
#define TREE_MAX    1000000
#define NESTED_MAX  129

struct range {
	uint16_t first, last;
};
/* A set of ports; sorted, disjoint. None: every port. */
struct ports {
	struct range *list; /* owned */
	unsigned count;
};

struct node {
	uint8_t address[16];
	uint8_t prefix;
	struct range range; /* 0, 0: every port */
};

struct filling {
	struct gate_scope *scope;
	struct ports classes[CLASSES_MAX]; /* [0]: every port */
	unsigned class_count;
};

static int compare_ranges(const void *left, const void *right)
{
	const struct range *a = left, *b = right;

	return (int)a->first - (int)b->first;
}

static int compare_nodes(const void *left, const void *right)
{
	const struct node *a = left, *b = right;
	int order = memcmp(a->address, b->address, sizeof(a->address));

	return order ? order : (int)a->prefix - (int)b->prefix;
}

static bool is_inside(const struct node *inner, const struct node *outer)
{
	unsigned bytes = outer->prefix / 8, bits = outer->prefix % 8;

	if (outer->prefix > inner->prefix || memcmp(outer->address, inner->address, bytes) != 0)
		return false;
	return bits == 0 ||
	       ((outer->address[bytes] ^ inner->address[bytes]) & (0xff00 >> bits) & 0xff) == 0;
}

static int add_range(struct ports *ports, struct range range)
{
	struct range *grown = reallocarray(ports->list, ports->count + 1, sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	ports->list = grown;
	ports->list[ports->count++] = range;
	return 0;
}

static void join(struct ports *ports)
{
	unsigned kept = 0;

	if (ports->count < 2)
		return;
	qsort(ports->list, ports->count, sizeof(*ports->list), compare_ranges);
	for (unsigned i = 1; i < ports->count; i++) {
		struct range *last = &ports->list[kept];

		if (ports->list[i].first > last->last + 1U)
			ports->list[++kept] = ports->list[i];
		else if (ports->list[i].last > last->last)
			last->last = ports->list[i].last;
	}
	ports->count = kept + 1;
}

/* One range of a class as prefixes of 16 bits. */
static int put_range(int map_fd, uint32_t class, struct range range, struct error *err)
{
	const uint32_t yes = 1;
	uint32_t first = range.first;
	int result = 0;

	while (result == 0 && first <= range.last) {
		struct {
			uint32_t bits, class;
			uint16_t port, padding;
		} key = {.class = class, .port = htons((uint16_t)first)};
		unsigned free_bits = 0;

		while (free_bits < 16 && !(first & (1U << free_bits)) &&
		       first + (2U << free_bits) - 1 <= range.last)
			free_bits++;
		key.bits = 48 - free_bits;
		result = bpf_map_set(map_fd, &key, &yes, err);
		first += 1U << free_bits;
	}
	return result;
}

/* The number of a set of ports, which it takes. */
static int find_class(struct filling *filling, struct ports *ports, uint32_t *out,
		      struct error *err)
{
	const struct bpf_map_shape shape = {"squall_ports", BPF_MAP_TYPE_LPM_TRIE, 10, 4, TREE_MAX};
	int result = 0;

	for (unsigned i = 1; i < filling->class_count; i++) {
		const struct ports *known = &filling->classes[i];

		if (known->count == ports->count &&
		    memcmp(known->list, ports->list, ports->count * sizeof(*ports->list)) == 0) {
			free(ports->list);
			*ports = (struct ports){0};
			*out = i;
			return 0;
		}
	}
	if (filling->class_count == CLASSES_MAX)
		return error_set(err, E2BIG, "the endpoints have more than %d different port lists",
				 CLASSES_MAX);
	if (filling->scope->ports < 0)
		result = bpf_map_new(&shape, &filling->scope->ports, err);
	for (unsigned i = 0; result == 0 && i < ports->count; i++)
		result =
			put_range(filling->scope->ports, filling->class_count, ports->list[i], err);
	*out = filling->class_count;
	filling->classes[filling->class_count++] = *ports;
	*ports = (struct ports){0};
	return result;
}

static int put_node(int map_fd, unsigned family, const struct node *node, uint32_t class,
		    struct error *err)
{
	struct {
		uint32_t bits;
		uint8_t address[16];
	} key = {.bits = node->prefix};

	memcpy(key.address, node->address, family ? 16 : 4);
	return bpf_map_set(map_fd, &key, &class, err);
}

/* The class of nodes[first..end), which have the same prefix, below the class of the prefix around
 * them (`around`; -1: there is none). */
static int class_of(struct filling *filling, const struct node *nodes, unsigned first, unsigned end,
		    int64_t around, uint32_t *out, struct error *err)
{
	struct ports ports = {0};
	int result = 0;

	*out = 0;
	if (around == 0)
		return 0; /* every port is in already */
	for (unsigned i = first; i < end; i++)
		if (nodes[i].range.first == 0)
			return 0;
	for (unsigned i = 0; around > 0 && result == 0 && i < filling->classes[around].count; i++)
		result = add_range(&ports, filling->classes[around].list[i]);
	for (unsigned i = first; result == 0 && i < end; i++)
		result = add_range(&ports, nodes[i].range);
	if (result < 0) {
		free(ports.list);
		return error_errno(err, ENOMEM, "cannot hold the endpoints");
	}
	join(&ports);
	result = find_class(filling, &ports, out, err);
	free(ports.list);
	return result;
}

static int fill_family(struct filling *filling, struct gate_set *set, unsigned family,
		       struct node *nodes, unsigned count, struct error *err)
{
	const struct bpf_map_shape shape = {family ? "squall_to6" : "squall_to4",
					    BPF_MAP_TYPE_LPM_TRIE, family ? 20 : 8, 4, count};
	struct {
		const struct node *node;
		uint32_t class;
	} around[NESTED_MAX];
	unsigned depth = 0, end;
	int result = bpf_map_new(&shape, &set->addresses[family], err);

	qsort(nodes, count, sizeof(*nodes), compare_nodes);
	for (unsigned i = 0; result == 0 && i < count; i = end) {
		uint32_t class;

		for (end = i + 1; end < count && compare_nodes(&nodes[i], &nodes[end]) == 0; end++)
			;
		while (depth > 0 && !is_inside(&nodes[i], around[depth - 1].node))
			depth--;
		result = class_of(filling, nodes, i, end,
				  depth ? (int64_t)around[depth - 1].class : -1, &class, err);
		if (result == 0)
			result = put_node(set->addresses[family], family, &nodes[i], class, err);
		around[depth].node = &nodes[i];
		around[depth++].class = class;
	}
	return result;
}

static struct node node_of(const struct endpoint *endpoint)
{
	struct node node = {.prefix = endpoint->prefix,
			    .range = {endpoint->port_first, endpoint->port_last}};

	memcpy(node.address, endpoint->address, endpoint->family == AF_INET6 ? 16 : 4);
	return node;
}

static int fill_set(struct filling *filling, const struct params *target, unsigned parameter,
		    struct gate_set *set, struct error *err)
{
	unsigned count = params_count(target, parameter), used[2] = {0};
	struct node *nodes[2] = {calloc(count + 1, sizeof(struct node)),
				 calloc(count + 1, sizeof(struct node))};
	struct ports any = {0};
	int result = nodes[0] && nodes[1] ? 0 : -ENOMEM;

	for (unsigned i = 0; result == 0 && i < count; i++) {
		const struct endpoint *endpoint = &params_value(target, parameter, i)->endpoint;
		struct range range = {endpoint->port_first, endpoint->port_last};
		unsigned family = endpoint->family == AF_INET6;

		if (endpoint->family != AF_UNSPEC)
			nodes[family][used[family]++] = node_of(endpoint);
		else if (range.first)
			result = add_range(&any, range);
		else
			set->has_everything = true;
	}
	if (result < 0)
		result = error_errno(err, ENOMEM, "cannot hold the endpoints");
	join(&any);
	if (result == 0 && any.count && !set->has_everything)
		result = find_class(filling, &any, &set->port_class, err);
	for (unsigned family = 0; family < 2 && result == 0 && !set->has_everything; family++)
		if (used[family])
			result =
				fill_family(filling, set, family, nodes[family], used[family], err);
	free(any.list);
	free(nodes[0]);
	free(nodes[1]);
	return result;
}

static int fill_local(struct filling *filling, const struct params *target, unsigned parameter,
		      uint32_t *out_class, struct error *err)
{
	struct ports ports = {0};
	int result = 0;

	for (unsigned i = 0; result == 0 && i < params_count(target, parameter); i++) {
		const struct param_value *value = params_value(target, parameter, i);

		result = add_range(&ports, (struct range){value->ports.first, value->ports.last});
	}
	if (result < 0)
		result = error_errno(err, ENOMEM, "cannot hold the ports");
	join(&ports);
	if (result == 0 && ports.count)
		result = find_class(filling, &ports, out_class, err);
	free(ports.list);
	return result;
}

int gate_scope_new(const struct params *target, struct gate_scope *out, struct error *err)
{
	struct gate_scope scope = GATE_SCOPE_NONE;
	struct filling *filling = calloc(1, sizeof(*filling));
	int result;

	if (!filling)
		return error_errno(err, ENOMEM, "cannot hold the endpoints");
	filling->scope = &scope;
	filling->class_count = 1;
	scope.to.has_everything = params_count(target, TRAFFIC_TO) == 0;
	scope.local.has_everything = params_count(target, TRAFFIC_LOCAL_ADDRESS) == 0;
	result = fill_set(filling, target, TRAFFIC_TO, &scope.to, err);
	if (result == 0)
		result = fill_set(filling, target, TRAFFIC_EXCEPT, &scope.except, err);
	if (result == 0)
		result = fill_set(filling, target, TRAFFIC_LOCAL_ADDRESS, &scope.local, err);
	if (result == 0)
		result = fill_set(filling, target, TRAFFIC_EXCEPT_LOCAL_ADDRESS,
				  &scope.except_local, err);
	if (result == 0)
		result = fill_local(filling, target, TRAFFIC_LOCAL_PORT, &scope.local_class, err);
	if (result == 0)
		result = fill_local(filling, target, TRAFFIC_EXCEPT_LOCAL_PORT,
				    &scope.except_local_class, err);
	for (unsigned i = 0; i < filling->class_count; i++)
		free(filling->classes[i].list);
	free(filling);
	if (result < 0)
		gate_scope_close(&scope);
	else
		*out = scope;
	return result;
}

static void close_map(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void gate_scope_close(struct gate_scope *scope)
{
	struct gate_set *sets[] = {&scope->to, &scope->except, &scope->local, &scope->except_local};

	for (unsigned i = 0; i < sizeof(sets) / sizeof(*sets); i++)
		for (unsigned family = 0; family < 2; family++)
			close_map(&sets[i]->addresses[family]);
	close_map(&scope->ports);
}
