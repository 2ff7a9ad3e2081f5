#include "cledger.h"

#include <sqlite3.h>

// Variadic in SQLite, and so out of reach for Swift.
void cledger_keep_no_account_of_memory(void) { sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0); }
