/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Bodies of strangers merged with a patch: what jansson reads is merged into what RFC 7396 says,
 * what it does not read is let alone, and no more is written than there may be.
 */
#include "faults/http_json.h"

#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define FLAGS (JSON_DECODE_ANY | JSON_ALLOW_NUL)

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void require(bool condition)
{
	if (!condition)
		abort();
}

/* The RFC's own words; a new reference. */
static json_t *merge(const json_t *target, const json_t *patch)
{
	const char *name;
	json_t *value, *result;

	if (!json_is_object(patch))
		return json_deep_copy(patch);
	result = json_is_object(target) ? json_copy((json_t *)(uintptr_t)target) : json_object();
	json_object_foreach ((json_t *)(uintptr_t)patch, name, value) {
		if (json_is_null(value))
			json_object_del(result, name);
		else
			json_object_set_new(result, name,
					    merge(json_object_get(result, name), value));
	}
	return result;
}

/* Some it does not read for reasons of its own: numbers and halves of characters. */
static bool is_beyond_jansson(const json_error_t *why)
{
	return strstr(why->text, "number overflow") || strstr(why->text, "Unicode") ||
	       strstr(why->text, "NUL byte in object key");
}

static void check(struct http_text text, const char *patch_text)
{
	struct http_text patch = {patch_text, strlen(patch_text)};
	size_t room = text.size + patch.size + 2, size = 0, again = 0;
	json_t *with = json_loads(patch_text, 0, NULL), *target, *wanted, *found;
	uint8_t *out = malloc(room);
	json_error_t why = {0};
	bool is_merged;

	require(out && with && http_json_is_patch(patch));
	is_merged = http_json_merge(text, patch, out, room, &size);
	target = json_loadb(text.at, text.size, FLAGS | JSON_DECODE_INT_AS_REAL, &why);
	require(is_merged <= http_json_is_sound(text));
	require(target || !http_json_is_sound(text) || is_beyond_jansson(&why));
	if (is_merged && target) {
		require(size <= room);
		found = json_loadb((char *)out, size, FLAGS | JSON_DECODE_INT_AS_REAL, NULL);
		json_decref(with);
		with = json_loads(patch_text, JSON_DECODE_INT_AS_REAL, NULL);
		wanted = merge(target, with);
		require(found && json_equal(found, wanted));
		json_decref(found);
		json_decref(wanted);
		require(!http_json_merge(text, patch, out, size - 1, &again));
	}
	json_decref(target);
	json_decref(with);
	free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static const char *const patches[] = {
		"{}",
		"{\"a\":1}",
		"{\"a\":null,\"b\":{\"a\":[null],\"c\":null}}",
		"{\"\":{\"a\":{\"b\":{}}},\"\\u00e9\":\"\\ud83d\\ude00\"}",
	};
	struct http_text text = {size ? (const char *)bytes : "", size};
	json_t *value;

	for (size_t i = 0; i < sizeof(patches) / sizeof(*patches); i++)
		check(text, patches[i]);
	value = json_loadb(text.at, size, FLAGS | JSON_REJECT_DUPLICATES, NULL);
	if (value && !memchr(text.at, 0, size)) /* it looks over these, and nothing is too deep */
		require(http_json_is_sound(text) || size > HTTP_JSON_DEPTH_MAX);
	json_decref(value);
	if (http_json_is_patch(text) && size < 500) {
		uint8_t out[600];
		size_t out_size;

		require(http_json_merge((struct http_text){"{\"a\":{\"b\":1}}", 13}, text, out,
					sizeof(out), &out_size));
		require(out_size <= size + 15);
		require(http_json_is_sound((struct http_text){(char *)out, out_size}));
	}
	return 0;
}
