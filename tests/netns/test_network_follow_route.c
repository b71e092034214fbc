/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * `follow: true` of the interface of the default route, which moves, of those that the routes to an
 * address lead to, and of those that have an address of this side.
 */
#include "tests/netns/follow_bench.h"

/* The first two events, in any order: where it takes long to let one go, the other comes later. */
static void await_move(struct squall *squall, const char *come, const char *gone)
{
	json_t *first = squall_await_nth(squall, "followed", 1);
	bool is_gone_first = strstr(member_text(first, "text"), gone) != NULL;

	squall_await_followed(squall, 1, true, is_gone_first ? gone : come);
	squall_await_followed(squall, 2, true, is_gone_first ? come : gone);
}

static void test_the_default_route_moves(void **state)
{
	struct stage *stage = *state;
	const char *near = stage->lab->near;
	struct squall *squall;

	add_pair(stage, "other", 2);
	netlab_run("ip -n %s route add default via 10.88.0.2", near);
	squall = squall_start(stage, NULL,
			      "inject --json network interface=default-route follow=true "
			      "delay=%dms for=10m",
			      DELAY_MS);
	squall_await_injected(squall);
	assert_delayed(stage, "10.88.0.2");
	assert_undelayed(stage, "10.88.2.2");
	netlab_run("ip -n %s route replace default via 10.88.2.2", near);
	await_move(squall, "from now on: other", "sqv0 (no default route any more)");
	assert_delayed(stage, "10.88.2.2");
	assert_undelayed(stage, "10.88.0.2");
	/* without one, it stays where the last one was */
	netlab_run("ip -n %s route delete default", near);
	pause_ms(700);
	assert_delayed(stage, "10.88.2.2");
	assert_int_equal(squall_count_followed(squall), 2);
	delete_link(stage, "other");
	squall_await_followed(squall, 3, true, "other (gone)");
	netlab_run("ip -n %s route add default via 10.88.0.2", near);
	squall_await_followed(squall, 4, true, "sqv0");
	assert_delayed(stage, "10.88.0.2");
	end(stage, squall);
	netlab_run("ip -n %s route delete default", near);
	stage_assert_clean(stage);
}

/* Behind both interfaces: its answers come by the one that is asked. */
static void test_the_route_to_an_address_moves(void **state)
{
	struct stage *stage = *state;
	const char *near = stage->lab->near;
	struct squall *squall;

	add_pair(stage, "other", 2);
	netlab_run("ip -n %s address add 10.99.0.2/32 dev lo", stage->lab->far);
	netlab_run("ip -n %s route add 10.99.0.2 via 10.88.0.2", near);
	squall = squall_start(stage, NULL,
			      "inject --json network to=10.99.0.2 follow=true delay=%dms for=10m",
			      DELAY_MS);
	squall_await_injected(squall);
	assert_delayed(stage, "10.99.0.2");
	assert_undelayed(stage, "10.88.0.2");
	netlab_run("ip -n %s route replace 10.99.0.2 via 10.88.2.2", near);
	await_move(squall, "from now on: other", "sqv0 (no route any more)");
	assert_delayed(stage, "10.99.0.2");
	/* without one, it stays where the last one was */
	netlab_run("ip -n %s route delete 10.99.0.2", near);
	pause_ms(700);
	assert_int_equal(squall_count_followed(squall), 2);
	netlab_run("ip -n %s route add 10.99.0.2 via 10.88.2.2", near);
	assert_delayed(stage, "10.99.0.2");
	delete_link(stage, "other");
	squall_await_followed(squall, 3, true, "other (gone)");
	netlab_run("ip -n %s route add 10.99.0.2 via 10.88.0.2", near);
	squall_await_followed(squall, 4, true, "sqv0");
	assert_delayed(stage, "10.99.0.2");
	end(stage, squall);
	netlab_run("ip -n %s route delete 10.99.0.2", near);
	stage_assert_clean(stage);
}

/* A ping to 10.98.0.2 has it as its source. */
static void put_address(const struct stage *stage, const char *interface, const char *gateway,
			const char *back)
{
	netlab_run("ip -n %s address add 10.77.0.1/32 dev %s", stage->lab->near, interface);
	netlab_run("ip -n %s route replace 10.98.0.2 via %s src 10.77.0.1", stage->lab->near,
		   gateway);
	netlab_run("ip -n %s route replace 10.77.0.1 via %s", stage->lab->far, back);
}

static void test_an_address_of_this_side_moves(void **state)
{
	struct stage *stage = *state;
	const char *near = stage->lab->near;
	struct squall *squall;

	add_pair(stage, "other", 2);
	netlab_run("ip -n %s address add 10.98.0.2/32 dev lo", stage->lab->far);
	put_address(stage, "sqv0", "10.88.0.2", "10.88.0.1");
	squall = squall_start(stage, NULL,
			      "inject --json network local-address=10.77.0.1,fd77::1 follow=true "
			      "delay=%dms for=10m",
			      DELAY_MS);
	squall_await_injected(squall);
	assert_delayed(stage, "10.98.0.2");
	assert_undelayed(stage, "10.88.0.2");
	netlab_run("ip -n %s address delete 10.77.0.1/32 dev sqv0", near);
	pause_ms(700); /* while none has it, it stays where the last one was */
	assert_int_equal(squall_count_followed(squall), 0);
	put_address(stage, "other", "10.88.2.2", "10.88.2.1");
	await_move(squall, "from now on: other", "sqv0 (no route or address any more)");
	assert_delayed(stage, "10.98.0.2");
	assert_undelayed(stage, "10.88.2.2");
	end(stage, squall);
	netlab_run("ip -n %s link delete other", near);
	stage_assert_clean(stage);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, stage_setup, stage_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_the_default_route_moves),
		TEST(test_the_route_to_an_address_moves),
		TEST(test_an_address_of_this_side_moves),
	};

	return STAGE_RUN(tests);
}
