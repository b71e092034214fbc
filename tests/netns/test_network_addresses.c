/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Which addresses are met: those that are left out, many networks, those of cloud metadata. Each on
 * real traffic, and by both ways of taking packets out of an interface.
 */
#include "tests/support/netlab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define LOST_MS 150

static void start(struct netlab *lab, struct netlab_fault *fault, const char *const *settings)
{
	netlab_fault_start(lab, fault, "sssss1", settings);
}

static bool passes(const struct netlab *lab, const char *address, uint16_t port)
{
	return netlab_round_trip(lab, address, port, LOST_MS) >= 0;
}

static void test_except(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;

	start(lab, &fault,
	      (const char *[]){"to", "10.88.0.0/24", "to", "fd88::/64", "except", "10.88.0.3",
			       "except", "*:7002", "except", "[fd88::2]:7001", "loss", "100%",
			       NULL});
	assert_non_null(strstr(fault.plan, "not affected: 10.88.0.3"));
	assert_false(passes(lab, "10.88.0.2", NETLAB_PORT));
	assert_true(passes(lab, "10.88.0.2", NETLAB_OTHER_PORT));
	assert_true(passes(lab, "10.88.0.3", NETLAB_PORT));
	assert_true(passes(lab, "fd88::2", NETLAB_PORT));
	assert_false(passes(lab, "fd88::3", NETLAB_PORT));
	assert_int_equal(netlab_ping(lab, "fd88::2", LOST_MS), -1); /* no port: no exception */
	netlab_fault_finish(&fault, FAULT_END_NOW);
}

static void test_except_on_ingress_is_the_far_side(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;

	start(lab, &fault,
	      (const char *[]){"to", "10.88.0.0/24", "except", "10.88.0.2:7002", "direction",
			       "ingress", "loss", "100%", NULL});
	assert_false(passes(lab, "10.88.0.2", NETLAB_PORT));
	assert_true(passes(lab, "10.88.0.2", NETLAB_OTHER_PORT));
	netlab_fault_finish(&fault, FAULT_END_NOW);
}

/* Networks that are not here, `own4` and `own6`, all shorter than an address by `drop` bits; and
 * `other`, which may have another length. */
static void lose_networks(struct netlab *lab, struct netlab_fault *fault, const char *own4,
			  const char *own6, unsigned drop, const char *other)
{
	enum { COUNT = 40 };
	static char texts[COUNT * 2][48];
	static const char *settings[COUNT * 4 + 12];
	unsigned at = 0;

	for (unsigned i = 0; i < COUNT; i++) {
		snprintf(texts[i], sizeof(texts[i]), "10.77.%u.%u/%u", i, i * 4, 32 - drop);
		snprintf(texts[COUNT + i], sizeof(texts[i]), "fd77:%x::%x/%u", i, i * 4,
			 128 - drop);
		settings[at++] = "to";
		settings[at++] = texts[i];
		settings[at++] = "to";
		settings[at++] = texts[COUNT + i];
	}
	settings[at++] = "to";
	settings[at++] = own4;
	settings[at++] = "to";
	settings[at++] = own6;
	if (other) {
		settings[at++] = "to";
		settings[at++] = other;
	}
	settings[at++] = "interface";
	settings[at++] = "sqv0";
	settings[at++] = "loss";
	settings[at++] = "100%";
	settings[at] = NULL;
	start(lab, fault, settings);
}

/* Many networks are looked up by hash, where no more parts than twice their number make them of one
 * length; others in a tree. */
static void test_many_networks(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;

	lose_networks(lab, &fault, "10.88.0.2", "fd88::2", 0, NULL);
	assert_false(passes(lab, "10.88.0.2", NETLAB_PORT));
	assert_true(passes(lab, "10.88.0.3", NETLAB_PORT));
	assert_false(passes(lab, "fd88::2", NETLAB_PORT));
	assert_true(passes(lab, "fd88::3", NETLAB_PORT));
	netlab_fault_finish(&fault, FAULT_END_NOW);
	lose_networks(lab, &fault, "10.88.0.2/31", "fd88::2/127", 1, NULL);
	for (unsigned i = 0; i < 2; i++) {
		assert_false(passes(lab, i ? "10.88.0.3" : "10.88.0.2", NETLAB_PORT));
		assert_false(passes(lab, i ? "fd88::3" : "fd88::2", NETLAB_PORT));
	}
	netlab_fault_finish(&fault, FAULT_END_NOW);
	lose_networks(lab, &fault, "10.88.0.4/31", "fd88::4/127", 1, NULL);
	assert_true(passes(lab, "10.88.0.3", NETLAB_PORT));
	assert_true(passes(lab, "fd88::3", NETLAB_PORT));
	netlab_fault_finish(&fault, FAULT_END_NOW);
	lose_networks(lab, &fault, "10.88.0.2", "fd88::3", 0, "10.88.0.0/30");
	assert_false(passes(lab, "10.88.0.3", NETLAB_PORT));
	assert_true(passes(lab, "fd88::2", NETLAB_PORT));
	assert_false(passes(lab, "fd88::3", NETLAB_PORT));
	netlab_fault_finish(&fault, FAULT_END_NOW);
	lose_networks(lab, &fault, "10.88.0.2", "fd88::3", 0, "10.64.0.0/16");
	assert_false(passes(lab, "10.88.0.2", NETLAB_PORT));
	assert_true(passes(lab, "10.88.0.3", NETLAB_PORT));
	assert_true(passes(lab, "fd88::2", NETLAB_PORT));
	assert_false(passes(lab, "fd88::3", NETLAB_PORT));
	netlab_fault_finish(&fault, FAULT_END_NOW);
}

/* Thousands of networks of ten lengths of IPv4 and so many of IPv6, some of them here. */
static void lose_thousands(struct netlab *lab, struct netlab_fault *fault, unsigned lengths,
			   const char *other)
{
	enum { COUNT = 3000 };
	static const char *const few[] = {"10.64.0.0/14",   "10.88.0.2/32", "10.88.0.128/25",
					  "10.88.1.0/24",   "fd40::/16",    "fd88::3/128",
					  "fd88::8000:0/97"};
	static char texts[COUNT * 2][48];
	static const char *settings[COUNT * 4 + 32];
	unsigned at = 0;

	for (unsigned i = 0; i < sizeof(few) / sizeof(*few); i++) {
		settings[at++] = "to";
		settings[at++] = few[i];
	}
	for (unsigned i = 0; i < COUNT; i++) {
		snprintf(texts[i], sizeof(texts[i]), "10.%u.%u.0/%u", 100 + i / 60, i % 60 * 4,
			 22 + i % 10);
		snprintf(texts[COUNT + i], sizeof(texts[i]), "fd77:%x::/%u", i, 48 + i % lengths);
		settings[at++] = "to";
		settings[at++] = texts[i];
		settings[at++] = "to";
		settings[at++] = texts[COUNT + i];
	}
	settings[at++] = "to";
	settings[at++] = other;
	memcpy(&settings[at], (const char *[]){"interface", "sqv0", "loss", "100%", NULL},
	       5 * sizeof(*settings));
	start(lab, fault, settings);
}

/* With thousands a hash of what they begin with stands before the others, one with their lengths,
 * or a tree for very many lengths (80 here) and beside ports: what begins so and is none of them is
 * no more affected than what begins otherwise. */
static void test_thousands_of_networks(void **state)
{
	static const struct {
		unsigned lengths;
		const char *other; /* a port of 10.88.0.3, or nothing that is here */
		bool has_port;
	} lists[] = {{80, "10.64.0.0/15", false},
		     {20, "10.64.0.0/15", false},
		     {20, "10.88.0.3:7001", true}};
	struct netlab *lab = *state;
	struct netlab_fault fault;

	for (unsigned i = 0; i < sizeof(lists) / sizeof(*lists); i++) {
		lose_thousands(lab, &fault, lists[i].lengths, lists[i].other);
		assert_false(passes(lab, "10.88.0.2", NETLAB_PORT));
		assert_int_equal(passes(lab, "10.88.0.3", NETLAB_PORT), !lists[i].has_port);
		assert_true(passes(lab, "fd88::2", NETLAB_PORT));
		assert_false(passes(lab, "fd88::3", NETLAB_PORT));
		netlab_fault_finish(&fault, FAULT_END_NOW);
	}
	/* by the network that it is in, and not only by its whole address */
	lose_thousands(lab, &fault, 20, "10.88.0.2/31");
	assert_false(passes(lab, "10.88.0.3", NETLAB_PORT));
	netlab_fault_finish(&fault, FAULT_END_NOW);
}

/* Wherever one would be met otherwise; and of those alone. */
static void test_the_plan_tells_of_it(struct netlab *lab, const char *const *metadata)
{
	static const struct {
		const char *to;
		unsigned spared; /* bits */
	} scopes[] = {{"*", 0xf},	  {"0.0.0.0/0", 0x3},
		      {"*:80", 0xf},	  {"169.254.169.0/24:80", 0x1},
		      {"fd00::/16", 0x4}, {"10.88.0.0/24", 0}};
	struct netlab_fault fault;

	for (unsigned i = 0; i < sizeof(scopes) / sizeof(*scopes); i++) {
		netlab_fault_must_plan(lab, &fault, "sssss1",
				       (const char *[]){"interface", "sqv0", "to", scopes[i].to,
							"loss", "1%", NULL});
		for (unsigned k = 0; k < 4; k++)
			assert_int_equal(strstr(fault.plan, metadata[k]) != NULL,
					 scopes[i].spared >> k & 1);
		assert_int_equal(strstr(fault.plan, "metadata") != NULL, scopes[i].spared != 0);
		netlab_fault_finish(&fault, FAULT_END_NOW);
	}
}

static void test_the_metadata_address_is_spared(void **state)
{
	static const char *const metadata[] = {"169.254.169.254", "100.100.100.200",
					       "fd00:ec2::254", "fd20:ce::254"};
	const unsigned count = sizeof(metadata) / sizeof(*metadata);
	struct netlab *lab = *state;
	struct netlab_fault fault;

	for (unsigned i = 0; i < count; i++) {
		netlab_run("ip -n %s addr add %s dev sqv1%s", lab->far, metadata[i],
			   strchr(metadata[i], ':') ? " nodad" : "");
		netlab_run("ip -n %s route add %s dev sqv0", lab->near, metadata[i]);
	}
	start(lab, &fault,
	      (const char *[]){"interface", "sqv0", "direction", "both", "loss", "100%", NULL});
	for (unsigned i = 0; i < count; i++) {
		assert_non_null(strstr(fault.plan, metadata[i]));
		assert_true(netlab_ping(lab, metadata[i], 1000) >= 0);
	}
	assert_int_equal(netlab_ping(lab, "10.88.0.2", LOST_MS), -1);
	assert_int_equal(netlab_ping(lab, "fd88::2", LOST_MS), -1);
	netlab_fault_finish(&fault, FAULT_END_NOW);
	/* in a network alone, beside others, with ports, and with one that is not theirs */
	start(lab, &fault,
	      (const char *[]){"to", "169.254.0.0/16", "to", "100.100.100.192/28", "to",
			       "10.88.0.2:1-65535", "to", "fd00::/9", "interface", "sqv0", "loss",
			       "100%", NULL});
	for (unsigned i = 0; i < count; i++) {
		assert_non_null(strstr(fault.plan, metadata[i]));
		assert_true(netlab_ping(lab, metadata[i], 1000) >= 0);
	}
	assert_true(netlab_ping(lab, "fd88::2", 1000) >= 0);
	assert_false(passes(lab, "10.88.0.2", NETLAB_PORT));
	netlab_fault_finish(&fault, FAULT_END_NOW);
	test_the_plan_tells_of_it(lab, metadata);
	for (unsigned i = 0; i < count; i++) {
		start(lab, &fault, (const char *[]){"to", metadata[i], "loss", "100%", NULL});
		assert_null(strstr(fault.plan, "metadata"));
		assert_int_equal(netlab_ping(lab, metadata[i], LOST_MS), -1);
		netlab_fault_finish(&fault, FAULT_END_NOW);
		assert_true(netlab_ping(lab, metadata[i], 1000) >= 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BY_TABLE_AND_FILTERS(test_except),
		BY_TABLE_AND_FILTERS(test_except_on_ingress_is_the_far_side),
		BY_TABLE_AND_FILTERS(test_many_networks),
		BY_TABLE_AND_FILTERS(test_thousands_of_networks),
		BY_TABLE_AND_FILTERS(test_the_metadata_address_is_spared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
