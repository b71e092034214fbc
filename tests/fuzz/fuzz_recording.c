/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A recording of round trips: an answer is a list of times of at most an hour each, or a problem
 * with its line. What was read goes through the table of parameters as it does to the worker.
 */
#include "tests/fuzz/fuzz_input.h"

#include "faults/network.h"
#include "faults/network_measured.h"
#include "faults/network_recording.h"
#include "injector/base/clock.h"

#include <stdlib.h>
#include <string.h>

static const char *given;
static size_t given_length;

static int give(void *context, const char *name, size_t max, char **out_text, size_t *out_length,
		struct error *err)
{
	(void)context;
	(void)name;
	(void)err;
	require(given_length <= max);
	*out_text = make_text(given, given_length);
	*out_length = given_length;
	return 0;
}

static void load(void)
{
	const struct fault_files files = {.read = give};
	struct params params;
	struct error err = ERROR_INIT;
	char words[200];

	require(params_init(&params, network_params, &err) == 0);
	require(params_add(&params, NETWORK_DISTRIBUTION_FILE, "x", 0, 0, &err) == 0);
	if (network_load(&params, &files, &err) == 0) {
		require(params_count(&params, NETWORK_DISTRIBUTION_SAMPLES) >= 2);
		require(network_check(&params, &err) == 0);
		network_measured_span(&params, words, sizeof(words));
		network_measured_lost(&params, words, sizeof(words));
	} else {
		require(err.code && err.text[0]);
	}
	params_free(&params);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct recording recording = {0};
	struct error err = ERROR_INIT;
	char *text;

	given = (const char *)data;
	given_length = size;
	text = make_text(given, size);
	if (recording_read(text, size, "x", &recording, &err) == 0) {
		for (size_t i = 0; i < recording.count; i++)
			require(recording.trips_ns[i] >= 0 &&
				recording.trips_ns[i] <= 3600 * NSEC_PER_SEC);
		recording_free(&recording);
		load();
	} else {
		require(err.code && err.text[0]);
		recording_free(&recording);
	}
	free(text);
	return 0;
}
