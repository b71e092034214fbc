/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The sweep types what squall tells to type: it finds the command in each kind of sentence, whole,
 * and each command of a line of several.
 */
#include "tests/sweep/typed_words.h"

#include "faults/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void assert_finds(const char *sentence, const char *command)
{
	char found[TYPED_SIZE] = "";
	enum typed_kind kind = typed_find(sentence, found);

	if (kind != TYPED_COMMAND || strcmp(found, command) != 0)
		fail_msg("%s: kind %d, '%s'", sentence, (int)kind, found);
}

static void test_the_command_of_each_kind_is_found(void **state)
{
	static const struct {
		const char *sentence, *command;
	} cases[] = {
		{"left: step 1 (network): table sq_1: ip netns exec n nft delete table netdev sq_1",
		 "ip netns exec n nft delete table netdev sq_1"},
		{"left: step 1 (dns): table sq: nsenter --net=/proc/7/ns/net nft delete table inet "
		 "sq",
		 "nsenter --net=/proc/7/ns/net nft delete table inet sq"},
		{"left: step 1 (network): interface sq0: ip link delete sq0", "ip link delete sq0"},
		{"left: step 1 (network): clsact of a: tc qdisc delete dev a clsact; undoing it "
		 "failed: kernel: no; really",
		 "tc qdisc delete dev a clsact"},
		{"left: step 1 (network): setting accept_local of lo: sysctl "
		 "net.ipv4.conf.lo.accept_local=0; it cannot be looked at: rm: no",
		 "sysctl net.ipv4.conf.lo.accept_local=0"},
		{"left: step 1 (process): processes are still stopped; kill -CONT 12 13",
		 "kill -CONT 12 13"},
		{"left: step 1 (process): /sys/a is still frozen; echo 0 > /sys/a/cgroup.freeze",
		 "echo 0 > /sys/a/cgroup.freeze"},
		{"left: step 1 (port): tcp 80 held by process 9: kill -9 9", "kill -9 9"},
		{"left: run a: step 1 (file): /etc/a is restored, what follows is not: systemctl "
		 "reload a.service && rm -f /etc/.a",
		 "systemctl reload a.service && rm -f /etc/.a"},
		{"left: step 1 (file): /etc/a is restored, what follows is not: setpriv --reuid=1 "
		 "--regid=1 --clear-groups /bin/true && rm -f /etc/.a",
		 "setpriv --reuid=1 --regid=1 --clear-groups /bin/true && rm -f /etc/.a"},
		{"left: step 1 (file): /etc/a is restored, what follows is not: /bin/true 'a: rm "
		 "b' "
		 "&& rm -f /etc/.a",
		 "/bin/true 'a: rm b' && rm -f /etc/.a"},
		{"left: step 1 (file): /etc/passwd is restored, what follows is not: '/bin/true' "
		 "&& "
		 "rm -f /etc/.a",
		 "'/bin/true' && rm -f /etc/.a"},
		{"left: step 1 (file): /etc/a was edited by somebody; by hand: umount -i -l -N 9 "
		 "/etc/a",
		 "umount -i -l -N 9 /etc/a"},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		assert_finds(cases[i].sentence, cases[i].command);
}

/* With the sentences as they are */
static void test_the_command_of_each_state_of_a_file_is_found(void **state)
{
	static struct file_swap swap = {.record.run_id = "abcdef", .record.way = FILE_BY_LINK};
	static const struct {
		enum file_state_now now;
		struct file_seen seen;
		const char *command; /* NULL: words */
	} cases[] = {
		{FILE_UNTIDY, {FILE_ORIGINAL, FILE_ORIGINAL, FILE_COPY, 0}, "rm -f /a/.b1o /a/.b1"},
		{FILE_UNTIDY_EDITED,
		 {FILE_ORIGINAL, FILE_ORIGINAL, FILE_COPY_EDITED, 0},
		 "rm -f /a/.b1o && mv -T /a/.b1 /a/.b1.edited"},
		{FILE_STRAY, {FILE_SOMEBODYS, 0, FILE_COPY, 0}, "rm -f /a/.b1"},
		{FILE_STRAY_EDITED,
		 {FILE_NOTHING, FILE_SOMEBODYS, FILE_COPY_EDITED, 0},
		 "mv -T /a/.b1 /a/.b1.edited"},
		{FILE_STRAY_EDITED, {FILE_NOTHING, 0, FILE_COPY_EDITED, FILE_SOMEBODYS}, NULL},
		{FILE_STRANGE, {FILE_SOMEBODYS, FILE_SOMEBODYS, 0, 0}, NULL},
		{FILE_ASIDE, {FILE_NOTHING, 0, 0, FILE_COPY_EDITED}, "rm -f /a/.b1.edited"},
		{FILE_FOREIGN, {FILE_ORIGINAL, 0, FILE_SOMEBODYS, 0}, NULL},
		{FILE_SWAPPED, {FILE_COPY, FILE_ORIGINAL, 0, 0}, "mv -T /a/.b1o /a/b"},
		{FILE_EDITED, {FILE_COPY_EDITED, FILE_ORIGINAL, 0, 0}, "mv -T /a/.b1o /a/b"},
		{FILE_REPLACED, {FILE_SOMEBODYS, FILE_ORIGINAL, 0, 0}, "mv -T /a/.b1o /a/b"},
		{FILE_REMOVED, {FILE_NOTHING, FILE_ORIGINAL, 0, 0}, "mv -T /a/.b1o /a/b"},
		{FILE_LOST, {FILE_COPY, 0, 0, 0}, NULL},
		{FILE_EDITED_LOST,
		 {FILE_COPY_EDITED, 0, 0, 0},
		 "cp -aT --remove-destination /a/b /a/.b1o && mv -T /a/.b1o /a/b"},
		{FILE_EDITED_LOST,
		 {FILE_COPY_EDITED, FILE_SOMEBODYS, 0, 0},
		 "cp -aT --remove-destination /a/b /a/.b1 && mv -T /a/.b1 /a/b"},
		{FILE_EDITED_LOST, {FILE_COPY_EDITED, FILE_SOMEBODYS, FILE_COPY_EDITED, 0}, NULL},
		{FILE_COPY_LEFT, {FILE_ORIGINAL, 0, FILE_COPY, 0}, "rm -f /a/.b1"},
	};

	(void)state;
	swap.path = "/a/b";
	swap.reload_by = "";
	strcpy(swap.copy_name, ".b1");
	strcpy(swap.kept_name, ".b1o");
	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char left[1024], found[TYPED_SIZE];

		file_left_say(&swap, cases[i].now, &cases[i].seen, left, sizeof(left));
		if (cases[i].command)
			assert_finds(left, cases[i].command);
		else if (typed_find(left, found) != TYPED_WORDS)
			fail_msg("%s", left);
	}
}

static void test_what_a_person_decides_is_not_typed(void **state)
{
	static const char *const cases[] = {
		"left: step 1 (file): a: I/O error; run: squall restore",
		"left: step 1 (file): /etc/a is another one now; if that is as it should be: rm -r "
		"/a",
		"left: run a: 1 record of its journal is damaged: what it would undo is unknown; "
		"look "
		"for tables, then: rm -r /a",
		"left: step 1 (connect): BPF programs 1 at a connect hook; by hand (package "
		"bpftool): bpftool link detach id 7; bpftool link detach id 8",
		"left: 3 more, not listed for want of memory",
	};
	char found[TYPED_SIZE];

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		if (typed_find(cases[i], found) != TYPED_WORDS)
			fail_msg("%s", cases[i]);
}

static void test_a_sentence_without_anything_known_is_told_apart(void **state)
{
	char found[TYPED_SIZE];

	(void)state;
	assert_int_equal(typed_find("left: step 1 (disk): /dev/a is slow: dmsetup remove a", found),
			 TYPED_UNKNOWN);
	assert_int_equal(typed_find("left: step 1 (file): /etc/a: /no/such/program a", found),
			 TYPED_UNKNOWN);
	assert_int_equal(typed_find("left: something", found), TYPED_UNKNOWN);
}

static void test_a_line_is_taken_apart_outside_of_quotes(void **state)
{
	const char *line = "kill -HUP \"$(cat '/a;b && c')\" && rm -f 'it'\\''s; a' ; echo 0 > /a; "
			   "rm b\\;c";
	static const struct typed_part parts[] = {{"kill -HUP \"$(cat '/a;b && c')\"", false},
						  {"rm -f 'it'\\''s; a'", true},
						  {"echo 0 > /a", false},
						  {"rm b\\;c", false}};
	struct typed_part part;

	(void)state;
	for (unsigned i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
		assert_true(typed_next(&line, &part));
		assert_string_equal(part.text, parts[i].text);
		assert_int_equal(part.needs_last, parts[i].needs_last);
	}
	assert_false(typed_next(&line, &part));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_command_of_each_kind_is_found),
		cmocka_unit_test(test_the_command_of_each_state_of_a_file_is_found),
		cmocka_unit_test(test_what_a_person_decides_is_not_typed),
		cmocka_unit_test(test_a_sentence_without_anything_known_is_told_apart),
		cmocka_unit_test(test_a_line_is_taken_apart_outside_of_quotes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
