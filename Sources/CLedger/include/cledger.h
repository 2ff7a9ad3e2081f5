#ifndef CLEDGER_H
#define CLEDGER_H

/// Tells SQLite to keep no account of the memory of the whole process: each allocation takes one lock for it otherwise.
/// To be called before SQLite is used for the first time; later it does nothing.
void cledger_keep_no_account_of_memory(void);

#endif
