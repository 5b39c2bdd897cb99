CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0005');
CREATE TABLE approval (
        project_id TEXT NOT NULL, agent TEXT NOT NULL, permission TEXT NOT NULL, pattern TEXT NOT NULL,
        created INTEGER NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (project_id, agent, permission, pattern));
CREATE TABLE ask (
        id TEXT PRIMARY KEY, kind TEXT NOT NULL, session_id TEXT NOT NULL, directory TEXT NOT NULL,
        created INTEGER NOT NULL, asked TEXT NOT NULL, settled INTEGER, reply TEXT, seq INTEGER NOT NULL);
CREATE TABLE counter (seq INTEGER NOT NULL, ceiling INTEGER);
INSERT INTO "counter" VALUES(0,0);
CREATE TABLE gap (first INTEGER PRIMARY KEY, last INTEGER NOT NULL);
CREATE TABLE message (
        session_id TEXT NOT NULL, id TEXT NOT NULL, turn INTEGER NOT NULL, born INTEGER NOT NULL,
        created INTEGER NOT NULL, role TEXT NOT NULL, seq INTEGER NOT NULL, data TEXT NOT NULL,
        PRIMARY KEY (session_id, id));
CREATE TABLE part (
        session_id TEXT NOT NULL, message_id TEXT NOT NULL, id TEXT NOT NULL, seq INTEGER NOT NULL, data TEXT NOT NULL,
        PRIMARY KEY (session_id, message_id, id));
CREATE TABLE project (id TEXT PRIMARY KEY, created INTEGER NOT NULL, seq INTEGER NOT NULL, data TEXT NOT NULL);
CREATE TABLE removal (
        seq INTEGER PRIMARY KEY, session_id TEXT NOT NULL, message_id TEXT, part_id TEXT, data TEXT);
CREATE TABLE session (
        id TEXT PRIMARY KEY, project_id TEXT NOT NULL, directory TEXT NOT NULL, path TEXT NOT NULL, parent_id TEXT,
        title TEXT NOT NULL, updated INTEGER NOT NULL, archived INTEGER, seq INTEGER NOT NULL, data TEXT NOT NULL);
CREATE TABLE todo (session_id TEXT PRIMARY KEY, seq INTEGER NOT NULL, data TEXT NOT NULL);
CREATE TABLE turn (
        session_id TEXT NOT NULL, id TEXT NOT NULL, number INTEGER NOT NULL, kind TEXT NOT NULL, digest BLOB NOT NULL,
        request BLOB NOT NULL, created INTEGER NOT NULL, ended INTEGER, answer BLOB, seq INTEGER NOT NULL,
        PRIMARY KEY (session_id, id)) WITHOUT ROWID;
CREATE INDEX session_by_change ON session (updated DESC, id);
CREATE INDEX session_by_parent ON session (parent_id);
CREATE UNIQUE INDEX turn_by_number ON turn (session_id, number);
CREATE INDEX turn_unfinished ON turn (session_id, number) WHERE ended IS NULL;
CREATE INDEX message_by_time ON message (session_id, created, id);
CREATE INDEX message_by_turn ON message (session_id, turn, born);
CREATE INDEX ask_pending ON ask (kind, created) WHERE settled IS NULL;
CREATE INDEX ask_by_session ON ask (session_id);
CREATE INDEX project_by_seq ON project (seq);
CREATE INDEX session_by_seq ON session (seq);
CREATE INDEX turn_by_seq ON turn (seq);
CREATE INDEX message_by_seq ON message (seq);
CREATE INDEX part_by_seq ON part (seq);
CREATE INDEX ask_by_seq ON ask (seq);
CREATE INDEX todo_by_seq ON todo (seq);
CREATE INDEX message_by_birth ON message (session_id, born);
CREATE INDEX session_by_project ON session (project_id, updated DESC, id);
CREATE INDEX session_by_directory ON session (directory, updated DESC, id);
