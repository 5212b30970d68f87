"""Airflow: one Spark job every night; what each part is for: docs/schedules.md.

Needs apache-airflow-providers-apache-spark and a connection ``spark_default``. To be put into the
folder of DAGs.
"""

from datetime import datetime, timedelta

from airflow import DAG
from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator

CONFIG = "s3://bucket/study.yaml"

with DAG(
    dag_id="kdsspark",
    schedule="30 2 * * *",
    start_date=datetime(2026, 1, 1),
    catchup=False,  # a run does all that is new; nights that were missed need none of their own
    max_active_runs=1,  # a second one would be refused by the output's lock
) as dag:
    SparkSubmitOperator(
        task_id="run",
        conn_id="spark_default",
        application="/opt/kdsspark/jobs/run.py",
        application_args=["--config", CONFIG, "--metrics", "/var/lib/kdsspark/kdsspark.prom"],
        conf={"spark.pyspark.python": "/opt/kdsspark/bin/python"},
        # What is done is not done twice, so another try only goes on. A wrong configuration and
        # too many failures end every try; they cost the seconds of finding nothing new.
        retries=2,
        retry_delay=timedelta(minutes=10),
        execution_timeout=timedelta(hours=12),
    )
