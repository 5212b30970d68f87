"""Airflow: one Spark job every night. docs/schedules.md explains the parts.

Put this file into the folder of DAGs. It needs apache-airflow-providers-apache-spark and a
connection ``spark_default``.
"""

from datetime import datetime, timedelta

from airflow import DAG
from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator

CONFIG = "s3://bucket/study.yaml"

with DAG(
    dag_id="kdsspark",
    schedule="30 2 * * *",
    start_date=datetime(2026, 1, 1),
    catchup=False,  # one run does the work of all missed nights
    max_active_runs=1,  # the output's lock would refuse a second run
) as dag:
    SparkSubmitOperator(
        task_id="run",
        conn_id="spark_default",
        application="/opt/kdsspark/jobs/run.py",
        application_args=["--config", CONFIG, "--metrics", "/var/lib/kdsspark/kdsspark.prom"],
        conf={"spark.pyspark.python": "/opt/kdsspark/bin/python"},
        # A retry continues where the last try ended. A wrong configuration or too many failures
        # end every retry as well, but only after the seconds of finding nothing new.
        retries=2,
        retry_delay=timedelta(minutes=10),
        execution_timeout=timedelta(hours=12),
    )
