import session_cleanup.packing.fields
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('session_cleanup', '0003_undo'),
    ]

    operations = [
        migrations.CreateModel(
            name='PackingDictionary',
            fields=[
                ('version', models.BigAutoField(primary_key=True, serialize=False, verbose_name='version')),
                ('column', models.CharField(help_text='As "app.Model.field".', max_length=200, verbose_name='column')),
                ('codec', models.CharField(max_length=10, verbose_name='codec')),
                ('content', models.BinaryField(verbose_name='content')),
                ('digest', models.CharField(max_length=64, verbose_name='SHA-256')),
                ('ratio', models.FloatField(verbose_name='packed size of a document, as a share')),
                ('samples', models.PositiveIntegerField(verbose_name='documents it was trained on')),
                ('created_at', models.DateTimeField(auto_now_add=True, verbose_name='created at')),
            ],
            options={
                'verbose_name': 'packing dictionary',
                'verbose_name_plural': 'packing dictionaries',
            },
        ),
        migrations.AddField(
            model_name='jobrun',
            name='figures',
            field=models.JSONField(default=dict, verbose_name='figures'),
        ),
        # The column stays what it is; Django would write the table anew in SQLite.
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AlterField(
                    model_name='session',
                    name='payload',
                    field=session_cleanup.packing.fields.PackedJSONField(blank=True, null=True, verbose_name='payload'),
                ),
            ],
        ),
        migrations.AddIndex(
            model_name='session',
            index=models.Index(condition=models.Q(('payload__is_packable', True)), fields=['kind', 'created_at', 'id'], name='idx_sessions_packable'),
        ),
    ]
