/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The lever may have been pulled where nothing could be written: each of its texts may be missing.
 */
#include "injector/cli/halted.h"

#include "injector/base/json.h"

#include <stdio.h>

void halted_print(const char *before, const struct halt *halt)
{
	printf("%s halted by %s since %s: %s\n", before, halt->by[0] ? halt->by : "?",
	       halt->at[0] ? halt->at : "?",
	       halt->reason[0] ? halt->reason : "no reason was recorded");
}

json_t *halted_json(const struct halt *halt)
{
	if (!halt->is_pulled)
		return json_null();
	return json_pack("{s:o, s:o, s:o, s:s}", "by", json_text(halt->by), "at",
			 json_text(halt->at), "reason", json_text(halt->reason), "file",
			 halt->path);
}
