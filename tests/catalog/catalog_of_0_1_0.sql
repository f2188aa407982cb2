BEGIN TRANSACTION;
CREATE TABLE lidcflow_schema (
	version INTEGER NOT NULL, 
	PRIMARY KEY (version)
);
INSERT INTO "lidcflow_schema" VALUES(1);
CREATE TABLE series (
	series_instance_uid VARCHAR(128) NOT NULL, 
	study_instance_uid VARCHAR(128), 
	patient_key VARCHAR, 
	state VARCHAR NOT NULL, 
	reason VARCHAR NOT NULL, 
	sentence VARCHAR NOT NULL, 
	n_files INTEGER NOT NULL, 
	n_slices INTEGER, 
	set_aside INTEGER NOT NULL, 
	flags JSON NOT NULL, 
	synthetic BOOLEAN, 
	volume_digest VARCHAR, 
	config_digest VARCHAR, 
	updated DATETIME NOT NULL, 
	PRIMARY KEY (series_instance_uid)
);
INSERT INTO "series" VALUES('1.2','1','a','refused','too-few-slices','series 1.2: must have at least 8 slices, got 3',3,NULL,0,'[]',NULL,NULL,NULL,'2026-11-29 18:44:37.956758');
INSERT INTO "series" VALUES('1.3','1','a','refused','too-few-slices','series 1.3: must have at least 8 slices, got 3',3,NULL,0,'[]',NULL,NULL,NULL,'2026-11-29 18:44:37.962152');
CREATE TABLE shared_series (
	series_instance_uid VARCHAR(128) NOT NULL, 
	patient_key VARCHAR NOT NULL, 
	PRIMARY KEY (series_instance_uid, patient_key)
);
INSERT INTO "shared_series" VALUES('1.3','a');
INSERT INTO "shared_series" VALUES('1.3','b');
CREATE INDEX ix_series_study_instance_uid ON series (study_instance_uid);
CREATE INDEX ix_series_patient_key ON series (patient_key);
CREATE INDEX ix_series_state ON series (state);
COMMIT;
