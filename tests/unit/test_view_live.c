/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The live view on terminals: drawn in place, after a change of the size, when it goes away or is
 * stopped.
 */
#include "injector/base/cleanup.h"
#include "injector/base/clock.h"
#include "injector/view/frame.h"
#include "injector/view/scrollback.h"
#include "injector/view/view.h"
#include "tests/support/fake_run.h"
#include "tests/support/screen.h"
#include "tests/support/stand_ins.h"

#include <fcntl.h>
#include <pty.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include <cmocka.h>

#define MS NSEC_PER_MSEC

struct terminal {
	int master;
	FILE *file;
	struct screen screen;
};

static void terminal_open(struct terminal *terminal, unsigned columns, unsigned rows)
{
	struct winsize size = {.ws_col = (unsigned short)columns, .ws_row = (unsigned short)rows};
	int slave;

	assert_int_equal(openpty(&terminal->master, &slave, NULL, NULL, &size), 0);
	fcntl(terminal->master, F_SETFL, O_NONBLOCK);
	terminal->file = fdopen(slave, "w");
	assert_non_null(terminal->file);
	screen_init(&terminal->screen, columns, rows);
}

static void terminal_read(struct terminal *terminal)
{
	char text[4096];
	ssize_t got;

	while ((got = read(terminal->master, text, sizeof(text))) > 0)
		screen_feed(&terminal->screen, text, (size_t)got);
}

static void terminal_listener(void *context, const struct event *event)
{
	(void)event;
	terminal_read(context);
}

static void test_live_view_draws_in_place(void **state)
{
	struct terminal terminal;
	struct view *view = NULL;
	struct fake_run run;
	char row[1024];
	unsigned titles = 0;

	(void)state;
	setenv("LC_ALL", "C.UTF-8", 1);
	setenv("TERM", "xterm-256color", 1);
	terminal_open(&terminal, 80, 24);
	screen_feed(&terminal.screen, "prompt$ squall run\r\n", 20);
	fake_run_init(&run, clock_now_ns());
	/* without a loop every event is drawn */
	assert_int_equal(view_new(VIEW_LIVE, &run.experiment, NULL, terminal.file, &view, NULL), 0);
	fake_run_listen(&run, view_listener(view));
	fake_run_listen(&run,
			(struct event_listener){.fn = terminal_listener, .context = &terminal});
	fake_run_play(&run, FAKE_RUN_ENDS_NS);
	view_free(view);
	terminal_read(&terminal);
	assert_int_equal(terminal.screen.overflows, 0);
	assert_int_equal(terminal.screen.unexpected, 0);
	/* one frame is on the screen, however many were drawn, and the cursor is below it */
	for (unsigned y = 0; y < 24; y++) {
		screen_row(&terminal.screen, y, row, sizeof(row));
		titles += strstr(row, "Object store slow") != NULL;
	}
	assert_int_equal(titles, 1);
	assert_int_equal(terminal.screen.x, 0);
	assert_true(terminal.screen.y > 15);
	assert_string_equal(screen_row(&terminal.screen, terminal.screen.y, row, sizeof(row)), "");
	fclose(terminal.file);
	close(terminal.master);
}

static void test_live_view_follows_the_size(void **state)
{
	struct winsize small = {.ws_col = 44, .ws_row = 12};
	struct terminal terminal;
	struct view *view = NULL;
	struct fake_run run;

	(void)state;
	setenv("LC_ALL", "C.UTF-8", 1);
	terminal_open(&terminal, 80, 24);
	fake_run_init(&run, clock_now_ns());
	assert_int_equal(view_new(VIEW_LIVE, &run.experiment, NULL, terminal.file, &view, NULL), 0);
	fake_run_listen(&run, view_listener(view));
	fake_run_listen(&run,
			(struct event_listener){.fn = terminal_listener, .context = &terminal});
	fake_run_play(&run, 3000 * MS);
	ioctl(terminal.master, TIOCSWINSZ, &small);
	screen_init(&terminal.screen, 44, 12);
	view_resize(view);
	fake_run_play(&run, FAKE_RUN_ENDS_NS);
	view_free(view);
	terminal_read(&terminal);
	assert_int_equal(terminal.screen.overflows, 0);
	assert_int_equal(terminal.screen.unexpected, 0);
	fclose(terminal.file);
	close(terminal.master);
}

static void test_only_own_lines_are_taken_back(void **state)
{
	struct scrollback lost = {0};

	(void)state;
	assert_int_equal(scrollback_take(&lost, 80, 5), 0);
	for (unsigned i = 0; i < 3; i++)
		scrollback_push(&lost, 70);
	/* two rows each */
	assert_int_equal(scrollback_take(&lost, 40, 2), 2);
	assert_int_equal(lost.count, 2);
	/* what is above them is not ours */
	assert_int_equal(scrollback_take(&lost, 80, 9), 2);
	assert_int_equal(scrollback_take(&lost, 80, 9), 0);
	for (unsigned i = 0; i < 2 * SCROLLBACK_MAX; i++)
		scrollback_push(&lost, i);
	assert_int_equal(lost.count, SCROLLBACK_MAX);
	assert_int_equal(scrollback_take(&lost, 1000, 1000), SCROLLBACK_MAX);
}

static void test_terminal_that_goes_away_silences_the_view(void **state)
{
	struct terminal terminal;
	struct view *view = NULL;
	struct fake_run run;

	(void)state;
	terminal_open(&terminal, 80, 24);
	fake_run_init(&run, clock_now_ns());
	assert_int_equal(view_new(VIEW_LIVE, &run.experiment, NULL, terminal.file, &view, NULL), 0);
	fake_run_listen(&run, view_listener(view));
	fake_run_play(&run, 1000 * MS);
	close(terminal.master); /* writes now give EIO */
	fake_run_play(&run, FAKE_RUN_ENDS_NS);
	view_resize(view);
	view_free(view);
	fclose(terminal.file);
}

static void test_stopped_terminal_does_not_block(void **state)
{
	struct terminal terminal;
	struct view *view = NULL;
	struct fake_run run;
	int64_t began_ns = clock_now_ns();

	(void)state;
	terminal_open(&terminal, 80, 24);
	tcflow(fileno(terminal.file), TCOOFF); /* as Ctrl-S does */
	fake_run_init(&run, clock_now_ns());
	assert_int_equal(view_new(VIEW_LIVE, &run.experiment, NULL, terminal.file, &view, NULL), 0);
	fake_run_listen(&run, view_listener(view));
	fake_run_play(&run, FAKE_RUN_ENDS_NS);
	assert_true(clock_now_ns() - began_ns < NSEC_PER_SEC);
	tcflow(fileno(terminal.file), TCOON);
	view_free(view);
	close(terminal.master);
	fclose(terminal.file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_live_view_draws_in_place),
		cmocka_unit_test(test_live_view_follows_the_size),
		cmocka_unit_test(test_only_own_lines_are_taken_back),
		cmocka_unit_test(test_terminal_that_goes_away_silences_the_view),
		cmocka_unit_test(test_stopped_terminal_does_not_block),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
