/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The audit that the commands of a stage have written. To be included behind cmocka.h, by one test
 * program each.
 */
#ifndef SQUALL_TESTS_TRAIL_BENCH_H
#define SQUALL_TESTS_TRAIL_BENCH_H

#include "tests/support/squall_runner.h"

#include <stdio.h>
#include <string.h>

static inline json_t *trail(const struct stage *stage)
{
	FILE *file = fopen(stage_path(stage, "lib/squall/audit.log"), "re");
	char line[8192];
	json_t *list = json_array();

	assert_non_null(file);
	while (fgets(line, sizeof(line), file)) {
		json_error_t error;
		json_t *entry = json_loads(line, 0, &error);

		if (!entry)
			fail_msg("no line of JSON: %s", line);
		json_array_append_new(list, entry);
	}
	fclose(file);
	return list;
}

/* The last line of that kind that speaks of `text`. */
static inline json_t *find(json_t *list, const char *event, const char *text)
{
	for (size_t i = json_array_size(list); i-- > 0;) {
		json_t *entry = json_array_get(list, i);
		const char *said = json_string_value(json_object_get(entry, "text"));

		if (strcmp(member_text(entry, "event"), event) == 0 &&
		    (!*text || (said && strstr(said, text))))
			return entry;
	}
	fail_msg("there is no line '%s' about '%s'", event, text);
	return NULL;
}

static inline void assert_fields(json_t *entry, const char *digest)
{
	assert_string_equal(member_text(entry, "user"), "root");
	assert_int_equal(member_number(entry, "uid"), 0);
	/* a test has none, but says so */
	assert_non_null(json_object_get(entry, "terminal"));
	assert_true(strlen(member_text(entry, "time")) > strlen("2026-01-01T00:00:00Z"));
	if (digest)
		assert_memory_equal(member_text(entry, "sha256"), digest, 64);
}

#endif
